"""Clean rows are found clean; every way of breaking a safety rule behind the actions' back is found."""

import contextlib
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from audit.models import Event
from inspection import actions
from inspection.models import Disposition, GoldenConfiguration, Image, Inspection, Part
from inspection.states import Outcome, Source
from reports.queries import invariants
from review.models import Case, Ruling, Verdict
from review.states import VerdictWord
from tests import factories
from tests.reports.rows import deliver, link_for, say

pytestmark = pytest.mark.django_db
LONG = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(invariants, "SECOND_LOOK_S", 0)


def broken() -> dict[str, int]:
    figures = invariants.checked_rows(ack_limit=LONG).figures()
    return {rule: figures[rule] for rule in invariants.RULES if figures[rule]}


def test_parts_made_by_the_actions_break_no_rule():
    at = factories.station()
    factories.golden(at)
    factories.decided_part(at, 0.1)
    factories.decided_part(at, 0.9)
    factories.decided_part(at, float("nan"))
    factories.captured_part(at)
    passed, rejected = factories.held_part(at), factories.held_part(at)
    say(passed, VerdictWord.PASS)
    say(rejected, VerdictWord.REJECT)
    figures = invariants.checked_rows(ack_limit=LONG).figures()
    assert figures == {
        "triggered": 6,
        "final": 4,
        "in_flight": 2,
        "lost": 0,
        "doubled": 0,
        "unsafe_pass": 0,
        "wrong_disposition": 0,
        "verdict_twice": 0,
        "history_disagrees": 0,
        "missing_ack": 0,
    }


def test_a_ruled_tie_breaks_no_rule():
    from review import actions as review

    part = factories.held_part()
    say(part, VerdictWord.CANNOT_TELL)
    review.rule(
        case=Case.objects.get(pk=part.pk), person=factories.expert(), grade="good", note="scratch is allowed"
    )
    assert broken() == {}
    Ruling.objects.update(grade="bad")
    assert broken() == {"unsafe_pass": 1}


def test_an_automatic_line_breaks_no_rule():
    at = factories.station(mode="automatic")
    factories.held_part(at)
    assert Disposition.objects.get().outcome == Outcome.REJECT
    assert broken() == {}


# --- lost -------------------------------------------------------------------------------------------------
def test_a_captured_part_that_nobody_decides_is_lost_after_its_time():
    part = factories.captured_part()
    Part.objects.filter(pk=part.pk).update(captured_at=timezone.now() - LONG)
    assert broken() == {"lost": 1}


def test_a_held_part_whose_case_is_closed_is_lost():
    part = factories.held_part()
    say(part, VerdictWord.PASS, is_committed=False)
    Case.objects.filter(pk=part.pk).update(state="closed", closed_at=timezone.now(), closed_by="verdict")
    assert broken()["lost"] == 1


def test_a_held_part_that_never_gets_a_case_is_lost():
    part = factories.held_part()
    Part.objects.filter(pk=part.pk).update(held_at=timezone.now() - LONG)
    assert broken() == {"lost": 1}


def test_a_disposed_part_without_a_final_disposition_is_lost():
    part = factories.decided_part(factories.station(), 0.1)
    Disposition.objects.filter(part=part).delete()
    assert broken() == {"lost": 1}


def test_a_part_whose_row_vanished_is_lost():
    part = factories.captured_part()
    Image.objects.filter(part=part).delete()
    Part.objects.filter(pk=part.pk).delete()
    assert broken() == {"lost": 1}


# --- doubled ----------------------------------------------------------------------------------------------
@contextlib.contextmanager
def without_constraints(table: str, *names: str):
    """Take the rules out of the database, as a careless migration or another tool would."""
    model = {"disposition": Disposition, "inspection": Inspection}[table]
    rules = [rule for rule in model._meta.constraints if rule.name in names]
    assert len(rules) == len(names)
    with connection.schema_editor(atomic=False) as editor:
        for rule in rules:
            editor.remove_constraint(model, rule)
    yield


@pytest.mark.django_db(transaction=True)
def test_a_second_final_disposition_is_found():
    part = factories.decided_part(factories.station(), 0.1)
    with without_constraints("disposition", "a_part_has_one_final_disposition"):
        Disposition.objects.create(
            part=part, outcome="REJECT", is_final=True, source=3, reason=20, decided_at=timezone.now()
        )
        found = broken()
        Disposition.objects.filter(source=3).delete()
        with connection.schema_editor(atomic=False) as editor:
            rule = next(
                r for r in Disposition._meta.constraints if r.name == "a_part_has_one_final_disposition"
            )
            editor.add_constraint(Disposition, rule)
    assert found == {"doubled": 1}


# --- unsafe passes ----------------------------------------------------------------------------------------
def test_a_pass_with_a_score_in_the_grey_band_is_unsafe():
    part = factories.decided_part(factories.station(), 0.1)
    Inspection.objects.filter(part=part).update(score=0.3)
    assert broken() == {"unsafe_pass": 1}


def test_a_pass_without_a_score_is_unsafe():
    part = factories.decided_part(factories.station(), 0.1)
    Inspection.objects.filter(part=part).update(score=None, decision="")
    assert broken() == {"unsafe_pass": 2}


def test_a_pass_under_a_golden_configuration_that_was_changed_is_unsafe():
    factories.decided_part(factories.station(), 0.1)
    GoldenConfiguration.objects.update(grey_from=0.9, grey_to=0.9)
    assert broken() == {"unsafe_pass": 1, "history_disagrees": 1}


def test_a_pass_under_a_draft_is_unsafe():
    factories.decided_part(factories.station(), 0.1)
    GoldenConfiguration.objects.update(state="draft")
    assert broken() == {"unsafe_pass": 1}


def test_a_pass_under_another_lines_configuration_is_unsafe():
    part = factories.decided_part(factories.station(), 0.1)
    elsewhere = factories.golden(factories.station())
    Inspection.objects.filter(part=part).update(golden=elsewhere)
    assert broken() == {"unsafe_pass": 1}


def test_a_pass_without_a_readable_image_is_unsafe():
    factories.decided_part(factories.station(), 0.1)
    Image.objects.update(problem="truncated")
    assert broken() == {"unsafe_pass": 1}


def test_a_reject_that_becomes_a_pass_is_unsafe():
    factories.decided_part(factories.station(), 0.9)
    Disposition.objects.update(outcome="PASS")
    assert broken() == {"unsafe_pass": 2}


def test_a_pass_in_the_name_of_a_person_who_said_reject_is_unsafe():
    part = factories.held_part()
    say(part, VerdictWord.REJECT)
    Disposition.objects.filter(part=part, is_final=True).update(outcome="PASS")
    assert broken() == {"unsafe_pass": 1}


def test_a_pass_in_the_name_of_another_person_is_unsafe():
    part = factories.held_part()
    say(part, VerdictWord.PASS)
    Disposition.objects.filter(part=part, is_final=True).update(person=factories.inspector())
    assert broken() == {"unsafe_pass": 1}


def test_a_pass_whose_verdict_was_undone_is_unsafe():
    part = factories.held_part()
    say(part, VerdictWord.PASS)
    Verdict.objects.update(undone_at=timezone.now())
    assert broken() == {"unsafe_pass": 1}


# --- other rules ------------------------------------------------------------------------------------------
def test_a_reject_by_the_model_that_it_never_decided_is_found():
    part = factories.decided_part(factories.station(), 0.9)
    Inspection.objects.filter(part=part).update(decision="GREY")
    assert broken() == {"wrong_disposition": 1}


def test_a_case_that_was_closed_twice_is_found():
    part = factories.held_part()
    say(part, VerdictWord.PASS)
    closing = Event.objects.get(subject_kind="case", after="closed")
    Event.objects.bulk_create(
        [
            Event(
                at=closing.at,
                actor_kind="system",
                actor_name="test",
                subject_kind="case",
                subject_id=part.pk,
                subject_version=9,
                verb="closed",
                before="decided",
                after="closed",
            )
        ]
    )
    assert broken()["verdict_twice"] == 1


def test_a_state_that_was_changed_behind_the_audit_trail_is_found():
    part = factories.held_part()
    say(part, VerdictWord.PASS, is_committed=False)
    Case.objects.filter(pk=part.pk).update(state="waiting")
    assert broken() == {"history_disagrees": 1}


def test_a_final_disposition_of_a_part_that_is_still_held_is_found():
    part = factories.held_part()
    say(part, VerdictWord.PASS)
    Part.objects.filter(pk=part.pk).update(state="held", held_at=timezone.now(), hold_reason=1)
    assert broken() == {"wrong_disposition": 1, "history_disagrees": 1}


# --- acks -------------------------------------------------------------------------------------------------
def test_missing_acks_are_counted_and_are_no_finding():
    at = factories.station()
    link_for(at)
    answered, silent = factories.decided_part(at, 0.1), factories.decided_part(at, 0.1)
    deliver(answered.dispositions.get())
    deliver(silent.dispositions.get(), state="sent")
    Disposition.objects.update(decided_at=timezone.now() - timedelta(minutes=5))
    summary = invariants.checked_rows(ack_limit=timedelta(seconds=30))
    assert (summary.missing_ack, summary.findings) == (1, [])


def test_a_part_that_moves_between_two_readings_is_no_finding(monkeypatch):
    """The line runs on while we read: what is gone at the second look never was."""
    part = factories.captured_part()
    Part.objects.filter(pk=part.pk).update(captured_at=timezone.now() - LONG)

    def decided_meanwhile(_: float) -> None:
        part.refresh_from_db()
        actions.hold_or_reject(part=part, reason=17, actor=factories.TESTER)

    monkeypatch.setattr(invariants.time, "sleep", decided_meanwhile)
    assert broken() == {}


def test_the_number_of_queries_does_not_grow_with_the_parts(django_assert_num_queries):
    at = factories.station()
    factories.golden(at)
    factories.decided_part(at, 0.1)
    with django_assert_num_queries(11):
        invariants.checked_rows(ack_limit=LONG)
    factories.decided_part(at, 0.1)
    factories.decided_part(at, 0.9)
    with django_assert_num_queries(11):
        invariants.checked_rows(ack_limit=LONG)


def test_a_pass_by_the_fail_safe_would_be_unsafe():
    part = factories.decided_part(factories.station(), 0.1)
    record = invariants.records([part], with_events=True)[0]
    record.dispositions[0].source = Source.FAIL_SAFE
    found = list(invariants.findings_of(record, timezone.now(), invariants.GoldenHashes()))
    assert [finding.rule for finding in found] == ["unsafe_pass"]
