"""A corrected part in the invariants, beside the PLC's log, on its page and on the line's board."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from inspection.actions import correct, reinstate_former
from inspection.models import Disposition, Part
from inspection.states import Outcome
from plc.models import Delivery
from plc.states import DeliveryState
from reports.queries import invariants
from reports.queries.line import alerts, line_figures, minutes
from reports.queries.management import reports_by_line
from reports.queries.plant import final_dispositions
from reports.queries.plc_log import compared
from review.actions import correct_verdict, rule
from review.models import Case, Ruling
from review.states import Grade, VerdictWord
from tests import factories
from tests.reports.rows import deliver, link_for, say
from tests.reports.test_plc_log import disposition, routed

pytestmark = pytest.mark.django_db


@pytest.fixture
def at():
    station = factories.station()
    factories.golden(station)
    link_for(station)
    return station


def broken() -> dict[str, int]:
    summary = invariants.checked_rows(ack_limit=timedelta(hours=1))
    return {rule: count for rule, count in summary.figures().items() if rule in invariants.RULES and count}


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(invariants, "SECOND_LOOK_S", 0)


def corrected(at, grade: Grade = Grade.BAD) -> Part:
    """A held part whose verdict was corrected to this grade; the PLC has answered its HOLD and nothing else."""
    part = factories.held_part(at)
    deliver(part.dispositions.get())
    say(part, VerdictWord.PASS if grade == Grade.BAD else VerdictWord.REJECT)
    correct_verdict(case=Case.objects.get(part=part), person=factories.expert(), grade=grade, note="a crack")
    return part


def rows_of(part: Part) -> tuple[Disposition, Disposition]:
    """The verdict's disposition and its correction."""
    _, verdict, correction = part.dispositions.order_by("id")
    return verdict, correction


def refused(part: Part) -> Disposition:
    """The verdict was on its way when it was corrected: the PLC carried it out and refused the correction."""
    verdict, correction = rows_of(part)
    deliver(verdict)
    deliver(correction, state=DeliveryState.REFUSED)
    reinstate_former(refused=correction, problem="too late", actor=factories.TESTER)
    return verdict


# --- invariants --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("grade", list(Grade))
def test_a_corrected_part_breaks_no_rule(at, grade):
    part = corrected(at, grade)
    assert broken() == {}
    deliver(rows_of(part)[1])
    assert broken() == {}


def test_a_part_whose_correction_the_plc_refused_breaks_no_rule(at):
    refused(corrected(at))
    assert broken() == {}


def test_a_corrected_ruling_breaks_no_rule(at):
    part = factories.held_part(at)
    say(part, VerdictWord.CANNOT_TELL)
    case = Case.objects.get(part=part)
    rule(case=case, person=factories.expert(), grade=Grade.GOOD, note="a stain")
    for grade in (Grade.BAD, Grade.GOOD):
        correct_verdict(case=case, person=factories.expert(), grade=grade, note="seen again")
    assert broken() == {}


def test_a_correction_that_nobody_ruled_is_unsafe(at):
    part = corrected(at, Grade.GOOD)
    Ruling.objects.update(person=factories.expert())
    assert broken() == {}  # the event tells who it was
    part = factories.held_part(at)
    say(part, VerdictWord.REJECT)
    correct(part=part, outcome=Outcome.PASS, person=factories.expert(), note="x", actor=factories.TESTER)
    assert broken() == {"unsafe_pass": 1}


def test_a_disposition_that_stands_against_what_the_plc_did_is_found(at):
    part = corrected(at)
    verdict, correction = rows_of(part)
    deliver(verdict)
    assert broken() == {}  # the correction is on its way
    deliver(correction, state=DeliveryState.REFUSED)
    assert broken() == {"wrong_disposition": 1}


def test_an_ack_that_the_row_does_not_know_of_is_found(at):
    part = factories.decided_part(at, 0.1)
    deliver(part.dispositions.get())
    Disposition.objects.update(applied_at=None)
    assert broken() == {"wrong_disposition": 1}


def test_a_correction_without_its_event_is_found(at):
    part = corrected(at)
    verdict, correction = rows_of(part)
    Disposition.objects.filter(pk=correction.pk).update(is_final=False, superseded_at=timezone.now())
    Disposition.objects.create(
        part=part, outcome="PASS", is_final=True, source=4, reason=32, person=correction.person, note="x",
        decided_at=timezone.now(),
    )  # fmt: skip
    assert broken() == {"unsafe_pass": 1, "history_disagrees": 1}
    assert verdict.outcome == "PASS"


# --- the PLC's log -----------------------------------------------------------------------------------------
def test_the_log_of_a_corrected_part_agrees(at):
    part = corrected(at)
    deliver(rows_of(part)[1])
    log = [disposition(part, 3, final=0), disposition(part, 2, mailbox="H01"), routed(part, "REJECT")]
    assert compared(log).problems == []


def test_the_log_of_a_refused_correction_agrees(at):
    part = corrected(at)
    refused(part)
    log = [
        disposition(part, 1, mailbox="H01"),
        routed(part, "PASS"),
        disposition(part, 2, mailbox="H01", seq=2, code=4),
    ]
    found = compared(log)
    assert (found.applied, found.refused, found.problems) == (1, 1, [])


def test_a_log_that_ends_with_another_word_than_what_stands_is_named(at):
    part = corrected(at)
    deliver(rows_of(part)[1])
    log = [
        disposition(part, 2, mailbox="H01"),
        disposition(part, 1, mailbox="H01", seq=2),
        routed(part, "PASS"),
    ]
    assert compared(log).problems == [
        f"Part {part.plc_part_id}: the PLC applied PASS last, but REJECT stands.",
        f"Part {part.plc_part_id}: it left by the pass lane, but REJECT stands.",
    ]


# --- what people see ---------------------------------------------------------------------------------------
def test_a_corrected_part_counts_once(at):
    corrected(at)
    now = timezone.now()
    figures = line_figures(at.line, now)
    assert (figures.reject_rate.rate.k, figures.reject_rate.rate.n) == (1, 1)
    assert (figures.review_rate.rate.k, figures.review_rate.rate.n) == (1, 1)
    counted = minutes(at.line, now)
    assert (sum(counted["PASS"]), sum(counted["REJECT"]), sum(counted["HOLD"])) == (0, 1, 1)
    (report,) = reports_by_line([at.line], since=now - timedelta(hours=1), until=now + timedelta(hours=1))
    assert (report.final, report.final_yield.rate.k, report.review_rate.rate.k) == (1, 0, 1)
    # A counter only grows: both were decided.
    assert final_dispositions() == {(at.line.code, "PASS", "2"): 1, (at.line.code, "REJECT", "4"): 1}


def test_the_line_tells_what_became_of_a_refused_correction(at):
    part = corrected(at)
    refused(part)
    told = {alert.title: alert.text for alert in alerts(at.line, timezone.now())}
    assert told["The PLC refused the correction to REJECT"] == (
        f"{part.plc_part_id} was to be corrected to REJECT: too late. "
        "PASS stands again: the quality expert calls a part bad that was passed. Find it."
    )


def page(client, part: Part, who, **query):
    client.force_login(who)
    return client.get(reverse("part", args=[part.pk]), query)


def test_the_expert_sees_the_form_while_a_correction_is_possible(client, at):
    part, expert = factories.held_part(at), factories.expert()
    say(part, VerdictWord.PASS)
    final = part.dispositions.get(is_final=True)
    shown = page(client, part, expert).content.decode()
    assert "Correct to reject" in shown
    assert reverse("case_correction", args=[Case.objects.get(part=part).pk]) in shown
    assert f"fragment=correction&amp;shown={final.pk}" in shown
    assert page(client, part, expert, fragment="correction", shown=final.pk).status_code == 204
    deliver(final)
    assert page(client, part, expert, fragment="correction", shown=final.pk)["HX-Refresh"] == "true"
    assert "Correct to reject" not in page(client, part, expert).content.decode()


def test_nobody_else_sees_the_form(client, at):
    part = factories.held_part(at)
    say(part, VerdictWord.REJECT)
    assert "Correct to pass" in page(client, part, factories.expert()).content.decode()
    assert 'id="correction"' not in page(client, part, factories.inspector()).content.decode()


def test_the_page_tells_the_story_of_a_correction(client, at):
    part = corrected(at)
    verdict, _ = rows_of(part)
    box = Delivery.objects.get().mailbox
    Delivery.objects.create(
        disposition=verdict, mailbox=box, numbering=1, state=DeliveryState.WITHDRAWN, fencing_number=1,
        queued_at=timezone.now(), problem="superseded by a correction",
    )  # fmt: skip
    shown = page(client, part, factories.expert()).content.decode()
    for words in ("Superseded", "Corrected by the quality expert", "PASS → REJECT", "PASS never sent"):
        assert words in shown
