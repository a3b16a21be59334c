"""A published study of three inspectors, the limits of the AIAG manual, and what a gap may not do."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from metrics.agreement import (
    BAD,
    GOOD,
    agreement_study,
    aiag_standing,
    kappa_word,
    look_codes,
    stack_looks,
)
from metrics.kappa import MISSING, cohen_kappa
from metrics.rates import Rate

# Black spots in the bore of plain bearings: 15 parts, three appraisers, three looks (the example of JASP's
# attribute agreement analysis); 1 is a bearing with spots.
REFERENCE = [1, 0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1]
EG = [
    [1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1],
    [1, 0, 1, 0, 1, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1],
    [1, 0, 1, 0, 1, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1],
]
BL = [
    [1, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 1],
    [1, 0, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 1],
    [1, 0, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 1],
]
MH = [
    [1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1],
    [1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1],
    [1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1],
]


@pytest.fixture(scope="module")
def bearings():
    return agreement_study({"EG": EG, "BL": BL, "MH": MH}, REFERENCE)


def percent(rate):
    return round(100 * rate.value, 2), round(100 * rate.lower, 3), round(100 * rate.upper, 3)


@pytest.mark.parametrize(
    ("appraiser", "effectiveness", "underkill", "overkill", "repeatability", "against", "within"),
    [
        (
            0,
            (80.0, 51.911, 95.669),
            16.67,
            20.0,
            (93.33, 68.052, 99.831),
            0.612903225806452,
            0.905462184873949,
        ),
        (1, (73.33, 44.9, 92.213), 26.67, 20.0, (93.33, 68.052, 99.831), 0.492307692307692, 0.91),
        (
            2,
            (60.0, 32.287, 83.664),
            10.0,
            66.67,
            (80.0, 51.911, 95.669),
            0.264150943396226,
            0.543918918918919,
        ),
    ],
)
def test_each_inspector_of_the_bearings_has_the_published_figures(
    bearings, appraiser, effectiveness, underkill, overkill, repeatability, against, within
):
    found = bearings.appraisals[appraiser]
    assert percent(found.effectiveness) == effectiveness
    assert percent(found.repeatability) == repeatability
    assert (percent(found.underkill)[0], percent(found.overkill)[0]) == (underkill, overkill)
    assert found.reference_kappa.value == pytest.approx(against)
    assert found.repeatability_kappa.value == pytest.approx(within)
    assert found.standing == "unacceptable"


def test_the_inspectors_of_the_bearings_together_have_the_published_figures(bearings):
    assert percent(bearings.all_agree) == (60.0, 32.287, 83.664)
    assert percent(bearings.all_right) == (46.67, 21.267, 73.414)
    assert bearings.all_kappa.value == pytest.approx(0.641666666666666)
    assert bearings.pairs["EG", "BL"].kappa.value == pytest.approx(
        cohen_kappa([[17, 0], [3, 25]]).value
    )  # they differ in part 7 alone
    assert (bearings.pairs["EG", "BL"].agree.k, bearings.pairs["EG", "BL"].agree.n) == (42, 45)


@pytest.mark.parametrize(
    ("k", "lower", "upper"), [(42, 70.89, 92.83), (45, 78.19, 96.67), (40, 66.28, 89.97), (39, 64.04, 88.47)]
)
def test_the_aiag_manuals_50_parts_have_the_published_limits(k, lower, upper):
    rate = Rate.of(k, 50)
    assert (round(100 * rate.lower, 2), round(100 * rate.upper, 2)) == (lower, upper)


@pytest.mark.parametrize(
    ("effectiveness", "underkill", "overkill", "standings"),
    [
        (42, 3, 5, ("marginal", "unacceptable", "acceptable")),  # appraiser A: 84 %, 6.3 %, 4.9 %
        (45, 3, 2, ("acceptable", "unacceptable", "acceptable")),  # B: 90 %, 6.3 %, 2.0 %
        (40, 6, 9, ("marginal", "unacceptable", "marginal")),  # C: 80 %, 12.5 %, 8.8 %
    ],
)
def test_the_appraisers_of_the_aiag_manual_stand_where_it_puts_them(
    effectiveness, underkill, overkill, standings
):
    assert (
        aiag_standing("effectiveness", Rate.of(effectiveness, 50)),
        aiag_standing("underkill", Rate.of(underkill, 48)),
        aiag_standing("overkill", Rate.of(overkill, 102)),
    ) == standings


@pytest.mark.parametrize(
    ("measure", "k", "standing"),
    [
        ("effectiveness", 90, "acceptable"), ("effectiveness", 89, "marginal"),
        ("effectiveness", 80, "marginal"), ("effectiveness", 79, "unacceptable"),
        ("underkill", 2, "acceptable"), ("underkill", 3, "marginal"),
        ("underkill", 5, "marginal"), ("underkill", 6, "unacceptable"),
        ("overkill", 5, "acceptable"), ("overkill", 6, "marginal"),
        ("overkill", 10, "marginal"), ("overkill", 11, "unacceptable"),
    ],
)  # fmt: skip
def test_the_aiag_limits_belong_to_the_better_side(measure, k, standing):
    assert aiag_standing(measure, Rate.of(k, 100)) == standing


def test_without_a_look_a_standing_is_unknown_and_never_acceptable():
    assert aiag_standing("underkill", Rate.of(0, 0)) == "unknown"
    only_good_parts = agreement_study({"Ada": [[GOOD] * 20]}, [GOOD] * 20).appraisals[0]
    assert only_good_parts.underkill.n == 0
    assert only_good_parts.standing == "unknown"


def test_the_model_is_one_more_appraiser_with_a_single_look():
    model = look_codes(
        ["BAD", "GOOD", "BAD", "GREY", "BAD", "GREY", *["GOOD"] * 3, "BAD", "GOOD", *["BAD"] * 4]
    )
    study = agreement_study({"EG": EG, "model": model}, REFERENCE)
    of_model = study.appraisals[1]
    assert (of_model.correct.k, of_model.correct.n) == (12, 13)  # two grey parts are no decision
    assert (of_model.underkill.k, of_model.underkill.n) == (1, 9)
    assert of_model.repeatability.n == 0
    assert of_model.repeatability_kappa is None
    assert study.pairs["EG", "model"].agree.n == 13
    assert study.all_agree.n == 13


def test_judgements_in_the_order_of_the_day_become_looks_of_parts():
    looks = stack_looks([2, 0, 2, 1, 2, 0], [BAD, GOOD, BAD, MISSING, GOOD, GOOD], parts=4)
    assert looks.tolist() == [[0, -1, 1, -1], [0, -1, 1, -1], [-1, -1, 0, -1]]
    repeatability = agreement_study({"Ada": looks}, [GOOD] * 4).appraisals[0].repeatability
    assert (repeatability.k, repeatability.n) == (1, 2)
    assert stack_looks([], [], parts=2).tolist() == [[-1, -1]]
    with pytest.raises(ValueError, match=r"Part numbers are 0\.\.1"):
        stack_looks([2], [GOOD], parts=2)
    with pytest.raises(ValueError, match="each judgement"):
        stack_looks([0, 1], [GOOD], parts=2)


def test_appraisers_without_a_common_part_are_no_pair():
    study = agreement_study({"Ada": [[GOOD, MISSING]], "Ben": [[MISSING, BAD]]}, [GOOD, BAD])
    assert study.pairs == {}
    assert study.all_agree.n == 0
    assert study.all_kappa is None


def test_words_of_verdicts_decisions_and_grades_become_codes():
    assert look_codes(["PASS", "REJECT", "CANNOT_TELL", "GOOD", "BAD", "GREY"]).tolist() == [
        0,
        1,
        -1,
        0,
        1,
        -1,
    ]
    with pytest.raises(ValueError, match="MAYBE"):
        look_codes(["PASS", "MAYBE"])


def test_a_part_of_unknown_grade_counts_for_agreement_and_not_for_truth():
    study = agreement_study({"Ada": [[GOOD, BAD]] * 2, "Ben": [[GOOD, BAD]] * 2}, [GOOD, MISSING])
    assert (study.all_agree.k, study.all_agree.n) == (2, 2)
    assert (study.all_right.k, study.all_right.n) == (1, 1)
    assert study.appraisals[0].correct.n == 2


@settings(max_examples=30)
@given(
    hnp.arrays(np.int64, (2, 3, 6), elements=st.integers(-1, 1)),
    hnp.arrays(np.int64, 6, elements=st.integers(0, 1)),
)
def test_looks_are_bad_or_good_and_each_is_right_or_one_of_the_two_errors(looks, reference):
    for appraisal in agreement_study({"Ada": looks[0], "Ben": looks[1]}, reference).appraisals:
        assert appraisal.underkill.n + appraisal.overkill.n == appraisal.correct.n
        assert appraisal.underkill.k + appraisal.overkill.k == appraisal.correct.n - appraisal.correct.k
        assert appraisal.effectiveness.k <= appraisal.effectiveness.n <= 6


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ([[40, 0], [0, 40]], "good"),
        ([[20, 20], [20, 20]], "poor"),
        ([[9, 0], [0, 0]], "unknown"),
        ([[30, 10], [10, 30]], "fair"),
    ],
)
def test_a_kappa_has_the_word_of_the_manual(value, word):
    assert kappa_word(cohen_kappa(value)) == word


@pytest.mark.parametrize(
    ("looks", "reference", "said"),
    [
        ({}, [0, 1], "at least one appraiser"),
        ({"Ada": [[0, 1, 1]]}, [0, 1], "Ada needs looks x 2 parts"),
        ({"Ada": [[0, 2]]}, [0, 1], r"0\.\.1"),
        ({"Ada": [[0, math.nan]]}, [0, 1], "whole numbers"),
        ({"Ada": [[]]}, [], "one grade for each part"),
    ],
)
def test_what_is_no_study_is_refused(looks, reference, said):
    with pytest.raises(ValueError, match=said):
        agreement_study(looks, reference)
    with pytest.raises(ValueError, match="limits for"):
        aiag_standing("kappa", Rate.of(1, 2))
