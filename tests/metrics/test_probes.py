"""Textbook skills, and intervals that hold what they promise, counted over all outcomes."""

import math

import numpy as np
import pytest
from scipy import stats

from metrics.probes import criterion, d_prime, probe_record
from metrics.rates import Rate


def test_the_textbook_shares_have_their_skill_and_leaning():
    assert round(d_prime(0.9, 0.1), 4) == 2.5631
    # Stanislaw & Todorov 1999: 20 of 25 and 10 of 25.
    assert round(d_prime(20 / 25, 10 / 25), 3) == 1.095
    assert round(criterion(20 / 25, 10 / 25), 3) == -0.294
    assert d_prime(0.5, 0.5) == criterion(0.5, 0.5) == 0


def test_counts_give_rates_without_and_skill_with_the_correction():
    record = probe_record(bad_passed=5, bad_judged=25, good_rejected=10, good_judged=25)
    assert record.underkill == Rate.of(5, 25)
    assert record.overkill == Rate.of(10, 25)
    assert record.skill.value == pytest.approx(d_prime(20.5 / 26, 10.5 / 26))
    assert record.leaning.value == pytest.approx(criterion(20.5 / 26, 10.5 / 26))
    assert record.leaning.standard_error == pytest.approx(record.skill.standard_error / 2)


def test_an_inspector_without_an_error_has_a_finite_skill():
    few = probe_record(bad_passed=0, bad_judged=10, good_rejected=0, good_judged=10)
    many = probe_record(bad_passed=0, bad_judged=100, good_rejected=0, good_judged=100)
    assert round(few.skill.value, 4) == round(2 * stats.norm.ppf(10.5 / 11), 4)
    assert few.skill.value < many.skill.value < math.inf
    assert few.leaning.value == pytest.approx(0)


def test_who_passes_everything_has_no_skill_and_leans_to_pass():
    record = probe_record(bad_passed=30, bad_judged=30, good_rejected=0, good_judged=30)
    assert record.skill.value == pytest.approx(0)
    assert record.leaning.value > 1
    assert record.skill.lower < 0 < record.skill.upper


def test_probes_of_one_grade_alone_tell_a_rate_and_no_skill():
    record = probe_record(bad_passed=1, bad_judged=12, good_rejected=0, good_judged=0)
    assert (record.underkill.k, record.overkill.n) == (1, 0)
    assert record.skill is None
    assert record.leaning is None


@pytest.mark.parametrize(("n", "skill"), [(10, 2.0), (20, 1.0), (20, 3.0)])
def test_the_interval_of_the_skill_holds_the_truth_95_times_in_100(n, skill):
    right, wrong = stats.norm.cdf(skill / 2), stats.norm.cdf(-skill / 2)
    numbers = np.arange(n + 1)
    chance = np.outer(stats.binom.pmf(numbers, n, right), stats.binom.pmf(numbers, n, wrong))
    covered = 0.0
    for rejected_bad, rejected_good in np.argwhere(chance > 1e-4):
        found = probe_record(
            bad_passed=n - int(rejected_bad), bad_judged=n, good_rejected=int(rejected_good), good_judged=n
        ).skill
        covered += chance[rejected_bad, rejected_good] * (found.lower <= skill <= found.upper)
    assert 0.94 < covered < 0.98


@pytest.mark.parametrize("wrong", [0.0, 1.0, math.nan])
def test_a_skill_from_certain_shares_is_refused(wrong):
    for figure in (d_prime, criterion):
        with pytest.raises(ValueError, match="probe_record"):
            figure(wrong, 0.5)


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="is no rate"):
        probe_record(bad_passed=3, bad_judged=2, good_rejected=0, good_judged=5)
    with pytest.raises(ValueError, match="is no rate"):
        probe_record(bad_passed=0, bad_judged=2, good_rejected=-1, good_judged=5)
