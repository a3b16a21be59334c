"""The published numbers, reproduced, and what no rate may do."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.rates import (
    Rate,
    certification_p,
    clopper_pearson,
    clopper_pearson_lower,
    clopper_pearson_upper,
    parts_needed,
    wilson,
)


def test_0_of_883_has_the_published_bounds():
    assert round(100 * clopper_pearson_upper(0, 883), 4) == 0.3387
    assert round(100 * clopper_pearson(0, 883)[1], 4) == 0.4169
    assert round(100 * wilson(0, 883)[1], 4) == 0.4332


def test_11_of_4117_has_the_published_interval():
    rate = Rate.of(11, 4117)
    assert round(100 * rate.value, 4) == 0.2672
    assert (round(100 * rate.lower, 4), round(100 * rate.upper, 4)) == (0.1335, 0.4776)


@pytest.mark.parametrize(("escapes", "p", "certified"), [(0, 0.01196, True), (1, 0.06504, False)])
def test_883_bad_parts_certify_half_a_percent_only_without_an_escape(escapes, p, certified):
    found = certification_p(escapes, 883, limit=0.005)
    assert round(found, 5) == p
    assert (found < 0.05) is certified


def test_underkill_of_one_in_a_thousand_takes_2995_bad_parts_without_an_escape():
    assert parts_needed(limit=0.001) == 2995
    assert clopper_pearson_upper(0, 2995) <= 0.001 < clopper_pearson_upper(0, 2994)


def test_nothing_seen_means_nothing_known():
    rate = Rate.of(0, 0)
    assert math.isnan(rate.value)
    assert (rate.lower, rate.upper) == (0.0, 1.0)
    assert clopper_pearson_upper(0, 0) == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_rate_lies_within_its_bounds(counted):
    k, n = counted
    rate = Rate.of(k, n)
    assert 0 <= rate.lower <= k / n <= rate.upper <= 1
    assert clopper_pearson_upper(k, n) <= rate.upper
    assert clopper_pearson_lower(k, n) >= rate.lower
    low, high = wilson(k, n)
    assert 0 <= low <= k / n + 1e-12
    assert k / n - 1e-12 <= high <= 1


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (1, 0)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(ValueError, match="is no rate"):
        Rate.of(k, n)


@pytest.mark.parametrize("wrong", [0.0, 1.0, math.nan])
def test_impossible_limits_and_confidences_are_refused(wrong):
    with pytest.raises(ValueError, match="between 0 and 1"):
        clopper_pearson(0, 5, confidence=wrong)
    with pytest.raises(ValueError, match="between 0 and 1"):
        parts_needed(limit=wrong)
