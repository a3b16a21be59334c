"""Kappas of the literature and of two statistics programs, digit by digit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from metrics.kappa import (
    MISSING,
    category_kappas,
    cohen_kappa,
    cross_table,
    fleiss_kappa,
    looks_per_category,
)

# Fleiss 1971, table 1: six psychiatrists, thirty patients, five diagnoses.
PSYCHIATRISTS = [
    [0, 0, 0, 6, 0], [0, 3, 0, 0, 3], [0, 1, 4, 0, 1], [0, 0, 0, 0, 6], [0, 3, 0, 3, 0],
    [2, 0, 4, 0, 0], [0, 0, 4, 0, 2], [2, 0, 3, 1, 0], [2, 0, 0, 4, 0], [0, 0, 0, 0, 6],
    [1, 0, 0, 5, 0], [1, 1, 0, 4, 0], [0, 3, 3, 0, 0], [1, 0, 0, 5, 0], [0, 2, 0, 3, 1],
    [0, 0, 5, 0, 1], [3, 0, 0, 1, 2], [5, 1, 0, 0, 0], [0, 2, 0, 4, 0], [1, 0, 2, 0, 3],
    [0, 0, 0, 0, 6], [0, 1, 0, 5, 0], [0, 2, 0, 1, 3], [2, 0, 0, 4, 0], [1, 0, 0, 4, 1],
    [0, 5, 0, 1, 0], [4, 0, 0, 0, 2], [0, 2, 0, 4, 0], [1, 0, 5, 0, 0], [0, 0, 0, 0, 6],
]  # fmt: skip
# The example of the textbooks: fourteen raters, ten subjects, five categories.
TEXTBOOK = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip
# Four raters with gaps, twelve units (Krippendorff; in Gwet 2014 and the package irrCAC).
WITH_GAPS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]
# The anxiety ratings of the R package irr, raters 2 and 3; neither said 5, so 1, 2, 3, 4, 6 are the categories.
ANXIETY = (
    [3, 6, 4, 6, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4],
    [2, 1, 4, 4, 3, 2, 1, 6, 1, 1, 1, 2, 3, 3, 1, 1, 3, 3, 2, 2],
)


@pytest.mark.parametrize(
    ("table", "kappa"),
    [
        ([[44, 6], [3, 97]], 0.86),  # appraiser A by B
        ([[43, 7], [8, 92]], 0.78),  # A by C
        ([[42, 5], [9, 94]], 0.79),  # B by C
        ([[45, 5], [3, 97]], 0.88),  # A by the reference
        ([[45, 2], [3, 100]], 0.92),  # B by the reference
        ([[42, 9], [6, 93]], 0.77),  # C by the reference
    ],
)
def test_the_cross_tables_of_the_aiag_manual_have_their_printed_kappas(table, kappa):
    assert round(cohen_kappa(table).value, 2) == kappa


def test_the_first_two_tables_of_the_aiag_manual_to_four_digits():
    assert round(cohen_kappa([[44, 6], [3, 97]]).value, 4) == 0.8629
    assert round(cohen_kappa([[45, 5], [3, 97]]).value, 4) == 0.8788


def test_sas_prints_the_same_kappa_errors_and_limits():
    plain = cohen_kappa([[0, 4, 1], [0, 8, 0], [0, 1, 5]])
    found = (plain.value, plain.standard_error, plain.lower, plain.upper, plain.null_error, plain.z)
    assert tuple(round(figure, 4) for figure in found) == (0.4842, 0.1380, 0.2137, 0.7547, 0.1484, 3.2626)
    linear = cohen_kappa([[0, 4, 1], [0, 8, 0], [0, 1, 5]], weights="linear")
    found = (linear.value, linear.standard_error, linear.lower, linear.upper, linear.null_error, linear.z)
    assert tuple(round(figure, 4) for figure in found) == (0.4701, 0.1457, 0.1845, 0.7558, 0.1426, 3.2971)


@pytest.mark.parametrize(
    ("weights", "value", "z"),
    [
        ("none", -0.006289308, -0.0604067),
        ("linear", 0.1459075, 1.282472),
        ("quadratic", 0.2520325, 1.437451),
    ],
)
def test_the_package_irr_finds_the_same_weighted_kappas(weights, value, z):
    first, second = (np.minimum(np.array(rater), 5) - 1 for rater in ANXIETY)
    kappa = cohen_kappa(cross_table(first, second, categories=5), weights=weights)
    assert kappa.value == pytest.approx(value, rel=1e-6)
    assert kappa.z == pytest.approx(z, rel=1e-6)


def test_the_abstractors_of_gwets_handbook_have_their_kappa():
    kappa = cohen_kappa([[13, 0, 0], [0, 20, 7], [0, 4, 56]])
    assert round(kappa.value, 7) == 0.7964094
    assert round(kappa.standard_error, 8) == 0.05891072
    assert (round(kappa.lower, 2), round(kappa.upper, 2)) == (0.68, 0.91)


def test_fleiss_psychiatrists_agree_at_43_percent_beyond_chance():
    kappa = fleiss_kappa(PSYCHIATRISTS)
    assert round(kappa.value, 7) == 0.4302445
    assert round(kappa.z, 5) == 17.65183
    assert (round(kappa.observed, 4), round(kappa.expected, 4), kappa.n) == (0.5556, 0.2199, 30)


def test_fleiss_psychiatrists_agree_best_on_the_rest_and_worst_on_depression():
    kappas = category_kappas(PSYCHIATRISTS)
    assert [round(kappa.value, 3) for kappa in kappas] == [0.245, 0.245, 0.520, 0.471, 0.566]
    assert [round(kappa.z, 3) for kappa in kappas] == [5.192, 5.192, 11.031, 9.994, 12.009]
    assert {round(kappa.null_error, 4) for kappa in kappas} == {round(math.sqrt(2 / (30 * 6 * 5)), 4)}


def test_the_textbook_example_has_its_kappa():
    kappa = fleiss_kappa(TEXTBOOK)
    assert (round(kappa.value, 4), round(kappa.observed, 3), round(kappa.expected, 3)) == (
        0.2099,
        0.378,
        0.213,
    )


def test_unequal_numbers_of_looks_give_gwets_kappa_error_and_interval():
    looks = np.array(WITH_GAPS) - 1
    kappa = fleiss_kappa(looks_per_category(looks, categories=5))
    assert (round(kappa.value, 5), round(kappa.standard_error, 5)) == (0.76117, 0.15302)
    assert (round(kappa.lower, 5), kappa.upper) == (0.42438, 1.0)
    assert (round(kappa.observed, 5), round(kappa.expected, 5)) == (0.81818, 0.23872)
    assert math.isnan(kappa.null_error)
    assert math.isnan(kappa.z)


def test_perfect_agreement_on_few_parts_is_not_certainty():
    few, many = cohen_kappa([[5, 0], [0, 5]]), cohen_kappa([[500, 0], [0, 500]])
    assert (few.value, few.upper) == (many.value, many.upper) == (1.0, 1.0)
    assert round(few.lower, 4) == round((0.69150 - 0.5) / 0.5, 4)  # 10 of 10: at least .6915
    assert many.lower > 0.99
    assert 0 < fleiss_kappa([[3, 0]] * 4 + [[0, 3]] * 4).lower < 0.5


def test_one_category_alone_says_nothing():
    for kappa in (cohen_kappa([[9, 0], [0, 0]]), fleiss_kappa([[3, 0]] * 7)):
        assert math.isnan(kappa.value)
        assert (kappa.lower, kappa.upper) == (-1.0, 1.0)


def test_a_missing_look_drops_out_of_the_cross_table():
    table = cross_table([0, 1, 1, MISSING, 0], [0, 0, 1, 1, MISSING], categories=2)
    assert table.tolist() == [[1, 0], [1, 1]]


@given(hnp.arrays(np.int64, (3, 3), elements=st.integers(0, 40)))
def test_kappa_lies_within_its_interval_and_does_not_care_who_is_first(table):
    if table.sum() == 0:
        return
    kappa, turned = cohen_kappa(table), cohen_kappa(table.T)
    if math.isnan(kappa.value):
        assert math.isnan(turned.value)
        return
    assert kappa.value == pytest.approx(turned.value)
    assert kappa.standard_error == pytest.approx(turned.standard_error, abs=1e-9)
    assert kappa.lower - 1e-12 <= kappa.value <= kappa.upper + 1e-12
    assert -1 <= kappa.lower <= kappa.upper <= 1


def test_with_two_categories_the_weights_change_nothing():
    table = [[44, 6], [3, 97]]
    plain = cohen_kappa(table)
    for weights in ("linear", "quadratic"):
        kappa = cohen_kappa(table, weights=weights)
        assert (kappa.value, kappa.standard_error) == pytest.approx((plain.value, plain.standard_error))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ([[1, 2, 3], [4, 5, 6]], "k x k"),
        ([[0, 0], [0, 0]], "at least one part"),
        ([[1, -1], [0, 1]], "0 or more"),
        ([[1, math.nan], [0, 1]], "whole numbers"),
        ([[0.5, 1], [0, 1]], "whole numbers"),
        ([], "table of counts"),
    ],
)
def test_what_is_no_cross_table_is_refused(table, said):
    with pytest.raises(ValueError, match=said):
        cohen_kappa(table)


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match="looked at twice"):
        fleiss_kappa([[1, 0], [0, 1]])
    with pytest.raises(ValueError, match="same length"):
        cross_table([0, 1], [0], categories=2)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        cross_table([0, 2], [0, 1], categories=2)
    with pytest.raises(ValueError, match="at least two categories"):
        cross_table([0], [0], categories=1)
    with pytest.raises(ValueError, match="Looks x parts"):
        looks_per_category([0, 1], categories=2)
    with pytest.raises(ValueError, match="linear or quadratic"):
        cohen_kappa([[1, 0], [0, 1]], weights="cubic")
    with pytest.raises(ValueError, match="confidence"):
        cohen_kappa([[1, 0], [0, 1]], confidence=1.0)
