"""The management report, against figures that were counted by hand."""

from datetime import timedelta

import pytest
from django.utils import timezone

from inspection.models import Line
from metrics.rates import Rate
from reports.queries.management import over_time, reports_by_line
from review.models import Case
from review.states import VerdictWord
from tests import factories
from tests.reports.rows import deliver, know, link_for, say, shift

pytestmark = pytest.mark.django_db


def report(*, lines=None, back=timedelta(hours=1)):
    now = timezone.now()
    return reports_by_line(lines or list(Line.objects.order_by("code")), since=now - back, until=now + back)[
        0
    ]


@pytest.fixture
def day():
    """Ten parts of one line. In brackets the truth, if it is known:

    5 pass at once (3 good, 1 bad), 2 are rejected at once (1 good, 1 bad),
    3 are grey: an inspector passes one (good) and rejects one (bad), one still waits (bad).
    """
    at = factories.station()
    link_for(at)
    factories.golden(at)
    passed = [factories.decided_part(at, 0.1) for _ in range(5)]
    rejected = [factories.decided_part(at, 0.9) for _ in range(2)]
    grey = [factories.held_part(at) for _ in range(3)]
    for part, truth in zip(passed, ["good", "good", "good", "bad"], strict=False):
        know(part, truth)
    know(rejected[0], "good")
    know(rejected[1], "bad")
    say(grey[0], VerdictWord.PASS)
    say(grey[1], VerdictWord.REJECT)
    for part, truth in zip(grey, ["good", "bad", "bad"], strict=True):
        know(part, truth)
    for index, part in enumerate(passed):
        deliver(part.dispositions.get(), after_ms=100 + 10 * index)
    deliver(grey[0].dispositions.get(is_final=True), after_ms=90_000)
    return at


def test_yields_count_final_parts(day):
    found = report()
    assert (found.triggered, found.final) == (10, 9)
    assert found.final_yield.rate == Rate.of(6, 9)
    assert found.first_pass_yield.rate == Rate.of(5, 9)
    assert found.review_rate.rate == Rate.of(3, 10)


def test_underkill_and_overkill_of_the_whole_system(day):
    found = report()
    # Bad and final: one passed by the model, two rejected; the one that waits is not counted yet.
    assert found.system_underkill.rate == Rate.of(1, 3)
    # Good and final: three passed, one rejected by the model, one passed by the inspector.
    assert found.system_overkill.rate == Rate.of(1, 5)


def test_underkill_and_overkill_of_the_model_alone(day):
    found = report()
    assert found.model_underkill.rate == Rate.of(1, 4)
    assert found.model_overkill.rate == Rate.of(1, 5)
    assert found.model_grey.rate == Rate.of(3, 10)


def test_decisions_by_source_and_reasons_of_holds(day):
    found = report()
    assert [row for row in found.sources if row[1] or row[2]] == [("Model", 5, 2), ("Human", 1, 1)]
    assert found.hold_reasons == [("Score in the grey band", 3)]


def test_acks_are_those_of_parts_that_the_model_disposed_alone(day):
    ack = report().plc_ack
    assert ack.n == 5
    assert ack.values[0] == pytest.approx(120)


def test_review_time_runs_from_the_hold_to_the_carrying_out(day):
    for case, seconds in zip(Case.objects.filter(state="closed").order_by("pk"), (20, 40), strict=True):
        Case.objects.filter(pk=case.pk).update(closed_at=case.opened_at + timedelta(seconds=seconds))
    assert report().review_time.values == pytest.approx((30_000, 39_000))


def test_the_truth_note_says_what_the_rates_rest_on(day):
    assert report().truth_note == (
        "Underkill and overkill count the 9 of 10 parts whose truth is known, all independently of the people who decided."
    )


def test_a_grade_is_the_truth_where_nothing_better_is_known():
    part = factories.held_part()
    verdict = say(part, VerdictWord.PASS)
    part.grade.delete() if hasattr(part, "grade") else None
    from labeling.models import Grade

    Grade.objects.create(
        part=part, grade="good", source="verdict", person=verdict.person, graded_at=timezone.now()
    )
    assert report().system_overkill.rate == Rate.of(0, 1)
    know(part, "bad")
    assert report().system_overkill.rate == Rate.of(0, 0)
    assert report().system_underkill.rate == Rate.of(1, 1)


def test_a_period_without_parts_says_so():
    factories.station()
    found = report()
    assert found.final_yield.bound == "No part has a final disposition in this period."
    assert found.truth_note.startswith("The truth of no part")


def test_a_part_belongs_to_the_period_of_its_trigger():
    at = factories.station()
    shift(factories.decided_part(at, 0.1), -timedelta(hours=2))
    factories.decided_part(at, 0.9)
    assert report().final_yield.rate == Rate.of(0, 1)
    assert report(back=timedelta(hours=3)).final_yield.rate == Rate.of(1, 2)


def test_several_lines_are_reported_together_and_apart():
    first, second = factories.station(), factories.station()
    factories.decided_part(first, 0.1)
    factories.decided_part(second, 0.9)
    now = timezone.now()
    found = reports_by_line(
        [first.line, second.line], since=now - timedelta(hours=1), until=now + timedelta(hours=1)
    )
    assert [(each.line_name, each.final_yield.rate.k, each.final_yield.rate.n) for each in found] == [
        ("All lines", 1, 2),
        (first.line.name, 1, 1),
        (second.line.name, 0, 1),
    ]
    assert found[0].hold_reasons == []


def test_parts_over_time_fall_into_the_hour_of_their_trigger():
    at = factories.station()
    shift(factories.decided_part(at, 0.1), -timedelta(hours=5))
    factories.decided_part(at, 0.9)
    factories.held_part(at)
    now = timezone.now()
    step, buckets = over_time([at.line], since=now - timedelta(days=1), until=now + timedelta(hours=1))
    assert (step, len(buckets)) == ("hour", 6)
    counted = [(b.triggered, b.passed, b.rejected, b.held) for b in buckets]
    assert (counted[0], counted[5], set(counted[1:5])) == ((1, 1, 0, 0), (2, 0, 1, 1), {(0, 0, 0, 0)})
    assert buckets[0].yield_rate.rate == Rate.of(1, 1)


def test_the_report_takes_four_queries_whatever_the_number_of_parts(django_assert_num_queries):
    at = factories.station()
    factories.decided_part(at, 0.1)
    lines = [at.line]
    with django_assert_num_queries(4):
        report(lines=lines)
    factories.decided_part(at, 0.9)
    factories.held_part(at)
    with django_assert_num_queries(4):
        report(lines=lines)
