"""The operator's figures of the last hour and the alerts."""

from datetime import UTC, datetime, timedelta

import pytest
import redis
from django.conf import settings
from django.utils import timezone

from inspection.actions import report_readiness
from inspection.models import Disposition, Part
from inspection.queries import active_golden
from inspection.states import Outcome
from metrics.rates import Rate
from reports.queries.line import alerts, line_figures, minutes
from reports.queries.pulse import PULSE_KEY, inspect_worker_is_heard
from review.models import Case
from review.states import VerdictWord
from tests import factories
from tests.reports.rows import deliver, link_for, say, shift

pytestmark = pytest.mark.django_db


@pytest.fixture
def pulse():
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.set(PULSE_KEY, 1, ex=30)
    yield client
    client.delete(PULSE_KEY)


@pytest.fixture
def at(pulse):
    """A line on which all is well."""
    station = factories.station()
    factories.golden(station)
    link_for(station)
    return station


def titles(station, now=None) -> list[str]:
    return [alert.title for alert in alerts(station.line, now or timezone.now())]


def test_figures_count_the_last_hour(at):
    factories.decided_part(at, 0.1)
    factories.decided_part(at, 0.1)
    factories.decided_part(at, 0.9)
    say(factories.held_part(at), VerdictWord.REJECT)
    factories.held_part(at)
    old = factories.decided_part(at, 0.9)
    shift(old, -timedelta(hours=2))
    Disposition.objects.filter(part=old).update(decided_at=timezone.now() - timedelta(hours=2))
    figures = line_figures(at.line, timezone.now())
    assert (figures.parts_last_hour, figures.parts_last_minute, figures.held_now) == (5, 5, 1)
    assert figures.reject_rate.rate == Rate.of(2, 4)
    assert figures.review_rate.rate == Rate.of(2, 5)


def test_the_chart_counts_dispositions_by_minute(at):
    now = datetime(2026, 5, 4, 12, 30, 20, tzinfo=UTC)
    for back, score in ((0, 0.1), (0, 0.9), (59, 0.1), (60, 0.1)):
        part = factories.decided_part(at, score)
        Disposition.objects.filter(part=part).update(decided_at=now - timedelta(minutes=back))
    series = minutes(at.line, now)
    assert series["times"][-1] == int(datetime(2026, 5, 4, 12, 30, tzinfo=UTC).timestamp())
    assert (len(series["times"]), series["times"][1] - series["times"][0]) == (60, 60)
    assert (series[Outcome.PASS][0], series[Outcome.PASS][-1], sum(series[Outcome.PASS])) == (1, 1, 2)
    assert (series[Outcome.REJECT][-1], sum(series[Outcome.HOLD])) == (1, 0)


def test_nothing_is_said_while_all_is_well(at):
    deliver(factories.decided_part(at, 0.1).dispositions.get())
    assert titles(at) == []


def test_a_silent_inspect_worker_is_a_fault(at, pulse):
    pulse.delete(PULSE_KEY)
    assert titles(at) == ["The inspect worker is silent"]


def test_a_silent_broker_is_a_silent_worker(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert inspect_worker_is_heard() is False


def test_a_line_without_an_active_golden_configuration_is_a_fault(pulse):
    station = factories.station()
    link_for(station)
    assert titles(station) == ["No active golden configuration"]


def test_a_model_that_the_worker_refuses_is_a_fault_that_says_why(at, pulse):
    golden = active_golden(at.line)
    report_readiness(golden=golden, refused="Its sha256 differs.", actor=factories.TESTER)
    [alert] = [each for each in alerts(at.line, timezone.now()) if each.title.startswith("The inspect")]
    assert (alert.outcome, alert.text.startswith("Its sha256 differs. Parts are held")) == ("fault", True)
    report_readiness(golden=golden, ready={"ms": 9.0}, actor=factories.TESTER)  # somebody put the file back
    assert titles(at) == []


def test_a_line_without_a_plc_is_told(pulse):
    station = factories.station()
    factories.golden(station)
    assert titles(station) == ["No PLC is set up for this line"]


def test_a_plc_whose_gateway_is_gone_is_a_fault(at):
    assert titles(at, timezone.now() + timedelta(minutes=2)) == [f"P{at.pk} needs attention"]


def test_a_refused_delivery_leads_to_its_part(at):
    part = factories.decided_part(at, 0.1)
    deliver(part.dispositions.get(), state="refused")
    found = alerts(at.line, timezone.now())
    assert [(alert.title, alert.url) for alert in found] == [("The PLC refused PASS", f"/parts/{part.pk}/")]


def test_dispositions_that_do_not_reach_the_plc_are_counted(at):
    part = factories.decided_part(at, 0.1)
    Disposition.objects.filter(part=part).update(decided_at=timezone.now() - timedelta(seconds=11))
    assert titles(at) == ["Not acknowledged by the PLC: 1"]


def test_a_case_near_its_deadline_calls_for_an_inspector(at):
    part = factories.held_part(at)
    for row in part.dispositions.all():
        deliver(row)
    from review import actions as review

    review.open_cases(actor=factories.TESTER)
    now = timezone.now()
    assert titles(at, now) == []
    Case.objects.update(deadline_at=now + timedelta(seconds=100))
    assert titles(at, now) == ["1 held part is near the deadline"]


def test_parts_past_their_time_are_a_fault(at):
    part = factories.captured_part(at)
    Part.objects.filter(pk=part.pk).update(captured_at=timezone.now() - timedelta(minutes=5))
    assert titles(at) == ["Parts past their time: 1"]


def test_parts_with_problems_are_told_by_reason(at):
    for row in factories.decided_part(at, float("nan")).dispositions.all():
        deliver(row)
    assert titles(at) == ["Score is not a finite number: 1 in the last 10 min"]


def test_faults_come_before_warnings(at, pulse):
    for row in factories.decided_part(at, float("nan")).dispositions.all():
        deliver(row)
    pulse.delete(PULSE_KEY)
    assert [alert.outcome for alert in alerts(at.line, timezone.now())] == ["fault", "warn"]
