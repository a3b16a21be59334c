"""Where the grey band lies, and what it means for a score."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.thresholds import cost_thresholds, decision, propose_thresholds

probabilities = st.floats(0, 1, allow_nan=False)


@pytest.mark.parametrize(
    ("score", "decided"),
    [(0.0, "GOOD"), (0.199, "GOOD"), (0.2, "GREY"), (0.5, "GREY"), (0.8, "BAD"), (1.0, "BAD")],
)
def test_a_score_on_a_threshold_takes_the_more_careful_side(score, decided):
    assert decision(score, 0.2, 0.8) == decided


@pytest.mark.parametrize(
    ("score", "grey_from", "grey_to"),
    [
        (math.nan, 0.2, 0.8),
        (math.inf, 0.2, 0.8),
        (-math.inf, 0.2, 0.8),
        (0.1, math.nan, 0.8),
        (0.1, 0.2, math.nan),
    ],
)
def test_nothing_that_is_not_finite_is_ever_decided(score, grey_from, grey_to):
    with pytest.raises(ValueError, match="finite"):
        decision(score, grey_from, grey_to)


def test_thresholds_out_of_order_decide_nothing():
    with pytest.raises(ValueError, match="grey band"):
        decision(0.5, 0.8, 0.2)


def test_the_published_costs_give_the_published_thresholds():
    assert cost_thresholds(underkill_cost=1000, overkill_cost=10, review_cost=1) == (0.001, 0.9)


def test_where_review_never_pays_the_band_closes():
    grey_from, grey_to = cost_thresholds(underkill_cost=10, overkill_cost=10, review_cost=9)
    assert grey_from == grey_to == 0.5


@pytest.mark.parametrize("cost", [0.0, -1.0, math.nan, math.inf])
def test_impossible_costs_are_refused(cost):
    with pytest.raises(ValueError, match="Costs"):
        cost_thresholds(underkill_cost=cost, overkill_cost=10, review_cost=1)


@given(st.lists(probabilities, min_size=1, max_size=80), st.lists(probabilities, max_size=80))
def test_a_proposal_is_always_a_usable_band(good, bad):
    proposed = propose_thresholds(good, bad)
    assert 0 <= proposed.grey_from <= proposed.grey_to <= 1
    assert proposed.underkill.n == len(bad)
    assert proposed.overkill.n == len(good)
    assert decision(0.5, proposed.grey_from, proposed.grey_to) in ("GOOD", "GREY", "BAD")


@given(st.lists(probabilities, min_size=1, max_size=40), st.lists(probabilities, min_size=1, max_size=200))
def test_no_more_graded_bad_parts_would_pass_than_allowed(good, bad):
    assert propose_thresholds(good, bad).underkill.k <= 0.05 * len(bad)


@given(st.lists(probabilities, min_size=1, max_size=40), st.lists(probabilities, min_size=1, max_size=20))
def test_with_few_graded_bad_parts_none_of_them_would_pass(good, bad):
    assert propose_thresholds(good, bad).underkill.k == 0


def test_without_bad_parts_most_parts_are_looked_at_and_no_good_one_is_rejected():
    proposed = propose_thresholds(np.linspace(0.05, 0.4, 100))
    assert proposed.review_good.k == 70
    assert proposed.overkill.k == 0
    assert proposed.grey_to >= 0.98


def test_the_band_narrows_as_separated_bad_parts_arrive():
    good = np.linspace(0.05, 0.4, 100)
    widths = []
    for count in (0, 10, 50, 200):
        proposed = propose_thresholds(good, np.linspace(0.35, 0.95, count))
        widths.append(proposed.grey_to - proposed.grey_from)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.25 * widths[0]


def test_one_bad_part_below_the_threshold_lowers_it_at_once():
    assert propose_thresholds(np.linspace(0.1, 0.4, 50), [0.05]).grey_from == 0.05


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -0.1, 1.1])
def test_scores_that_are_no_probability_are_refused(wrong):
    with pytest.raises(ValueError):
        propose_thresholds([0.1, wrong])
    with pytest.raises(ValueError):
        propose_thresholds([0.1], [wrong])


def test_no_good_part_no_proposal():
    with pytest.raises(ValueError, match="at least one good part"):
        propose_thresholds([], [0.9])
