"""Waiting times of the textbooks, and overflow worked out by hand."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.queueing import erlang_c, inspectors_needed, time_to_overflow_s


@pytest.mark.parametrize(("inspectors", "wait_s", "digits"), [(2, 45.5, 1), (3, 4.50, 2), (4, 0.88, 2)])
def test_300_cases_an_hour_of_20_s_wait_as_long_as_published(inspectors, wait_s, digits):
    queue = erlang_c(arrivals_per_s=300 / 3600, handling_s=20, inspectors=inspectors)
    assert round(queue.mean_wait_s, digits) == wait_s


def test_360_calls_in_half_an_hour_with_55_agents_have_the_published_service():
    # Mitan's Erlang C page: 4 minutes each, target 15 s.
    queue = erlang_c(arrivals_per_s=0.2, handling_s=240, inspectors=55)
    assert (round(queue.load, 9), round(queue.occupancy, 3)) == (48, 0.873)
    assert round(queue.waiting, 3) == 0.239
    assert round(queue.mean_wait_s, 1) == 8.2
    assert round(queue.taken_within(15), 3) == 0.846


def test_100_calls_in_half_an_hour_need_14_agents_for_80_percent_within_20_s():
    # Call Centre Helper's worked example: 3 minutes each.
    queue = erlang_c(arrivals_per_s=100 / 1800, handling_s=180, inspectors=14)
    assert (round(100 * queue.waiting, 1), round(100 * queue.taken_within(20), 1)) == (17.4, 88.8)
    assert round(queue.mean_wait_s, 1) == 7.8
    assert inspectors_needed(arrivals_per_s=100 / 1800, handling_s=180, share=0.8, within_s=20) == 14


def test_a_single_inspector_waits_as_in_the_m_m_1_queue():
    queue = erlang_c(arrivals_per_s=0.04, handling_s=20, inspectors=1)
    assert queue.waiting == pytest.approx(0.8)
    assert queue.mean_wait_s == pytest.approx(0.8 * 20 / (1 - 0.8))


def test_hundreds_of_inspectors_overflow_no_number():
    queue = erlang_c(arrivals_per_s=48, handling_s=20, inspectors=1000)
    assert 0.05 < queue.waiting < 0.15
    assert 0 < queue.mean_wait_s < 1
    assert queue.taken_within(10) > 0.999


def test_without_arrivals_nobody_waits_and_without_inspectors_everybody_does():
    empty = erlang_c(arrivals_per_s=0, handling_s=20, inspectors=2)
    assert (empty.waiting, empty.mean_wait_s, empty.occupancy, empty.taken_within(0)) == (0, 0, 0, 1)
    alone = erlang_c(arrivals_per_s=0.1, handling_s=20, inspectors=0)
    assert (alone.waiting, alone.mean_wait_s, alone.occupancy, alone.taken_within(9)) == (1, math.inf, 1, 0)


@pytest.mark.parametrize("inspectors", [1, 2])
def test_a_load_that_inspectors_cannot_carry_never_settles(inspectors):
    queue = erlang_c(arrivals_per_s=0.1, handling_s=20, inspectors=inspectors)
    assert (queue.mean_wait_s, queue.taken_within(3600), queue.occupancy) == (math.inf, 0, 1)


@settings(max_examples=30)
@given(st.floats(0.001, 2), st.floats(1, 100), st.floats(0.5, 0.99), st.floats(0, 60))
def test_the_inspectors_needed_reach_the_target_and_one_fewer_does_not(arrivals, handling, share, within):
    needed = inspectors_needed(arrivals_per_s=arrivals, handling_s=handling, share=share, within_s=within)
    enough = erlang_c(arrivals_per_s=arrivals, handling_s=handling, inspectors=needed)
    fewer = erlang_c(arrivals_per_s=arrivals, handling_s=handling, inspectors=needed - 1)
    assert enough.taken_within(within) >= share
    assert fewer.taken_within(within) < share


def overflow(**changed):
    usual = {"arrivals_per_s": 0.2, "handling_s": 20, "inspectors": 2, "waiting": 0, "deadline_s": 120}
    return time_to_overflow_s(**(usual | changed))


def test_a_growing_queue_overflows_when_its_first_late_case_is_due():
    # Two inspectors finish .1 a second, .2 arrive; a queue of .1 * (120 - 20) = 10 is the longest; 10 / .1 + 120.
    assert overflow() == pytest.approx(220)
    assert overflow(waiting=4) == pytest.approx(180)
    assert overflow(waiting=10) == pytest.approx(120)


def test_a_queue_that_is_carried_never_overflows():
    assert overflow(inspectors=4) == math.inf
    assert overflow(inspectors=5) == math.inf
    assert overflow(inspectors=5, waiting=20) == math.inf  # the last is done after 20 / .25 + 20 = 100 s


def test_waiting_cases_that_came_together_are_late_when_they_are_too_many():
    # 40 at .25 a second: the newest starts after 160 s; all are due in 120 s.
    assert overflow(inspectors=5, waiting=40) == pytest.approx(120)


def test_the_first_waiting_case_without_slack_is_found_between_oldest_and_newest():
    # The oldest has 120 - 60 - 20 = 40 s of slack, the newest loses 160 - 60 = 100 s of it: late from .4 on,
    # and that case, 36 s old, is due in 84 s.
    assert overflow(inspectors=5, waiting=40, oldest_wait_s=60) == pytest.approx(84)


def test_an_oldest_case_without_time_to_be_handled_is_late_when_it_is_due():
    assert overflow(inspectors=5, waiting=1, oldest_wait_s=110) == pytest.approx(10)
    assert overflow(inspectors=5, waiting=1, oldest_wait_s=130) == 0


def test_without_inspectors_the_oldest_case_is_the_first_to_be_late():
    assert overflow(inspectors=0, waiting=3, oldest_wait_s=50) == pytest.approx(70)
    assert overflow(inspectors=0) == 120
    assert overflow(inspectors=0, arrivals_per_s=0) == math.inf


def test_a_deadline_shorter_than_the_handling_time_is_missed_by_every_case():
    assert overflow(deadline_s=10, inspectors=50) == 10


def served_late_at(arrivals, handling, inspectors, waiting, deadline, oldest):
    """The same queue case by case, with even arrivals and one inspector as fast as all of them together."""
    arrived = [-oldest * (1 - k / waiting) for k in range(waiting)]
    arrived += [k / arrivals for k in range(1, 20_000)]
    free = 0.0
    for moment in arrived:
        start = max(free, moment)
        if start + handling > moment + deadline:
            return moment + deadline
        free = start + handling / inspectors
    return math.inf


@pytest.mark.parametrize(
    ("arrivals", "inspectors", "waiting", "oldest"),
    [
        (2.0, 20, 0, 0),
        (2.0, 20, 40, 10),
        (1.2, 20, 0, 0),
        (0.9, 20, 0, 0),
        (1.0, 20, 150, 60),
        (1.0, 20, 300, 60),
    ],
)
def test_the_fluid_agrees_with_the_queue_case_by_case(arrivals, inspectors, waiting, oldest):
    found = overflow(arrivals_per_s=arrivals, inspectors=inspectors, waiting=waiting, oldest_wait_s=oldest)
    assert found == pytest.approx(served_late_at(arrivals, 20, inspectors, waiting, 120, oldest), abs=6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"arrivals_per_s": -1}, {"arrivals_per_s": math.nan}, {"handling_s": 0}, {"handling_s": math.inf},
        {"inspectors": -1}, {"waiting": -1}, {"deadline_s": math.nan}, {"oldest_wait_s": -1},
    ],
)  # fmt: skip
def test_impossible_queues_are_refused(wrong):
    with pytest.raises(ValueError, match="not"):
        overflow(**wrong)


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match="0 s or more"):
        erlang_c(arrivals_per_s=1, handling_s=1, inspectors=2).taken_within(math.nan)
    with pytest.raises(ValueError, match="share"):
        inspectors_needed(arrivals_per_s=1, handling_s=1, share=1.0, within_s=1)
    with pytest.raises(ValueError, match="waiting time"):
        inspectors_needed(arrivals_per_s=1, handling_s=1, share=0.9, within_s=-1)
    with pytest.raises(ValueError, match="no review queue"):
        inspectors_needed(arrivals_per_s=1e6, handling_s=1, share=0.9, within_s=1)
