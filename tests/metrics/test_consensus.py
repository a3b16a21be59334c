"""The anaesthetists of Dawid & Skene, simulated inspectors, and what the search may never do."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from metrics.agreement import BAD, GOOD
from metrics.consensus import consensus, error_rate, look_counts
from metrics.kappa import MISSING
from metrics.rates import clopper_pearson

# Dawid & Skene 1979, table 1: 45 patients, fitness 1 to 4; the first anaesthetist three times, four others once.
THREE_TIMES = """111 333 112 222 222 222 122 333 222 232 444 222 111 222 121 111 111 111 222 222 222 222 222 221
    111 111 232 111 111 112 111 333 111 222 222 433 221 232 333 111 111 121 232 121 222"""
ONCE = """1111 4334 2122 3121 3222 3322 2111 3433 2223 2223 4444 3343 1111 3212 1111 2111 1111 1111 2221 1322 2222
    2221 3222 2222 1111 1111 2222 1111 1111 1121 1111 3233 1111 2222 3232 4343 2232 3233 3432 1111 1111 2111 2222
    1111 2222"""


def classes_said(text):
    return (np.array([list(word) for word in text.split()], dtype=np.int64) - 1).T


def anaesthetists():
    once = classes_said(ONCE)
    return look_counts([classes_said(THREE_TIMES), *(once[k : k + 1] for k in range(4))], classes=4)


def plain_equations(counts, steps):
    """The equations of the paper, one by one: 3.1, then 2.3, 2.4 and 2.5 again and again."""
    parts, appraisers, classes = counts.shape
    chance = counts.sum(axis=1) / counts.sum(axis=(1, 2))[:, None]
    for _ in range(steps):
        shares = chance.sum(axis=0) / parts
        errors = np.zeros((appraisers, classes, classes))
        for k in range(appraisers):
            for j in range(classes):
                errors[k, j] = sum(chance[i, j] * counts[i, k] for i in range(parts))
                errors[k, j] /= errors[k, j].sum()
        for i in range(parts):
            chance[i] = shares * np.prod(errors ** counts[i][:, None, :], axis=(0, 2))
            chance[i] /= chance[i].sum()
    return shares, errors, chance


def test_the_anaesthetists_have_the_shares_of_the_paper_and_the_rates_of_its_equations():
    found = consensus(anaesthetists())
    assert [round(share, 2) for share in found.shares] == [0.40, 0.42, 0.11, 0.07]
    shares, errors, chance = plain_equations(anaesthetists(), 40)
    assert found.shares == pytest.approx(shares, abs=1e-5)
    assert found.confusion.ravel() == pytest.approx(errors.ravel(), abs=1e-4)
    assert found.posterior.ravel() == pytest.approx(chance.ravel(), abs=1e-4)
    assert found.converged


def test_the_likelihood_of_the_anaesthetists_never_falls():
    gains = consensus(anaesthetists()).log_likelihoods
    assert (np.diff(gains) >= 0).all()
    assert gains[-1] == pytest.approx(-192.891, abs=1e-3)


def simulated(rng, parts, confusion, share_bad, seen):
    truth = (rng.random(parts) < share_bad).astype(np.int64)
    looks = [
        np.where(rng.random(parts) < seen, (rng.random(parts) < matrix[truth, 1]).astype(np.int64), MISSING)
        for matrix in confusion
    ]
    return truth, [own[None, :] for own in looks]


def test_the_error_rates_of_simulated_inspectors_are_found_in_spite_of_gaps():
    rng = np.random.default_rng(5)
    confusion = np.array([[[0.95, 0.05], [0.10, 0.90]], [[0.80, 0.20], [0.05, 0.95]], [[0.99, 0.01], [0.30, 0.70]],
                          [[0.90, 0.10], [0.20, 0.80]]])  # fmt: skip
    truth, looks = simulated(rng, 6000, confusion, 0.3, 0.7)
    judged = (np.concatenate(looks) != MISSING).any(axis=0)
    found = consensus(look_counts([own[:, judged] for own in looks], classes=2))
    assert found.confusion.ravel() == pytest.approx(confusion.ravel(), abs=0.04)
    assert found.shares[1] == pytest.approx(0.3, abs=0.03)
    assert (found.grades == truth[judged]).mean() > 0.9


def test_parts_of_known_grade_tell_which_of_two_inspectors_errs():
    rng = np.random.default_rng(7)
    confusion = np.array([[[0.98, 0.02], [0.05, 0.95]], [[0.70, 0.30], [0.40, 0.60]]])
    truth, looks = simulated(rng, 3000, confusion, 0.5, 1.0)
    known = np.where(np.arange(3000) < 600, truth, MISSING)
    found = consensus(look_counts(looks, classes=2), known=known)
    assert found.confusion.ravel() == pytest.approx(confusion.ravel(), abs=0.06)
    assert (found.grades[:600] == truth[:600]).all()


def test_an_inspector_who_saw_no_bad_part_has_no_row_for_it():
    counts = look_counts([[[0, 0, 1, 1]], [[0, 0, 1, 1]], [[0, 0, MISSING, MISSING]]], classes=2)
    found = consensus(counts)
    assert found.grades.tolist() == [0, 0, 1, 1]
    assert found.confusion[2, 0].tolist() == [1, 0]
    assert np.isnan(found.confusion[2, 1]).all()


@settings(max_examples=25, deadline=None)
@given(hnp.arrays(np.int64, (3, 8), elements=st.integers(-1, 2)), st.integers(-1, 2))
def test_the_likelihood_never_falls_and_the_chances_are_chances(looks, first_grade):
    judged = (looks != MISSING).any(axis=0)
    if not judged.any():
        return
    own = looks[:, judged]
    known = np.full(own.shape[1], MISSING)
    known[0] = first_grade
    found = consensus(look_counts([row[None, :] for row in own], classes=3), known=known)
    assert (np.diff(found.log_likelihoods) >= -1e-9).all()
    assert found.posterior.sum(axis=1) == pytest.approx(np.ones(own.shape[1]))
    assert found.shares.sum() == pytest.approx(1)
    if first_grade != MISSING:
        assert found.posterior[0, first_grade] == 1


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (np.ones((2, 2)), "Parts x appraisers x classes"),
        (np.ones((0, 2, 2)), "Parts x appraisers x classes"),
        (np.full((2, 2, 2), -1), "whole numbers"),
        (np.full((2, 2, 2), math.nan), "whole numbers"),
        (np.zeros((2, 2, 2)), "2 parts have no look"),
    ],
)
def test_what_holds_no_looks_is_refused(counts, said):
    with pytest.raises(ValueError, match=said):
        consensus(counts)


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match="One known class"):
        consensus(np.ones((2, 2, 2)), known=[1])
    with pytest.raises(ValueError, match="same parts"):
        look_counts([[[0, 1]], [[0]]], classes=2)
    with pytest.raises(ValueError, match="same parts"):
        look_counts([], classes=2)


def test_with_every_grade_known_the_error_rates_are_plain_counts_with_their_exact_interval():
    truth = np.array([BAD] * 12 + [GOOD] * 8)
    said = truth.copy()
    said[:3] = GOOD  # passes 3 of 12 bad parts
    counts = look_counts([said, truth], classes=2)
    found = consensus(counts, known=truth)
    passed = error_rate(counts, found, appraiser=0, truth=BAD, said=GOOD)
    assert (passed.k, passed.n) == (3, 12)
    assert (passed.lower, passed.upper) == pytest.approx(clopper_pearson(3, 12))
    rejected = error_rate(counts, found, appraiser=0, truth=GOOD, said=BAD)
    assert (rejected.k, rejected.n, rejected.lower) == (0, 8, 0)
    assert rejected.upper == pytest.approx(clopper_pearson(0, 8)[1])


def test_an_appraiser_who_saw_nothing_of_a_class_has_no_error_rate():
    counts = look_counts([[GOOD, MISSING], [GOOD, BAD]], classes=2)
    unseen = error_rate(counts, consensus(counts, known=[GOOD, BAD]), appraiser=0, truth=BAD, said=GOOD)
    assert (unseen.n, unseen.lower, unseen.upper) == (0, 0, 1)
    assert math.isnan(unseen.value)
