"""The one function that changes a state."""

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from audit.actor import Actor
from audit.models import AppendOnlyError, Event, Seal
from audit.transitions import IllegalMove, StaleState, move, record
from inspection.models import Part
from inspection.states import PartState, Reason
from tests.factories import TESTER, captured_part, held_part, inspector, person
from tests.review.helpers import at_once

pytestmark = pytest.mark.django_db


def row_of(part: Part) -> dict:
    return Part.objects.filter(pk=part.pk).values().get()


def test_a_move_changes_the_row_and_writes_its_event():
    part = captured_part()
    before = Event.objects.count()

    event = move(part, PartState.INSPECTED, actor=TESTER, details={"score": 0.5})

    assert (part.state, row_of(part)["state"]) == (PartState.INSPECTED, PartState.INSPECTED)
    assert Event.objects.count() == before + 1
    assert (event.subject_kind, event.subject_id, event.subject_version) == ("part", part.pk, part.version)
    assert (event.before, event.after, event.verb) == ("captured", "inspected", "inspected")
    assert (event.actor_kind, event.actor_name, event.details) == ("system", "test", {"score": 0.5})


def test_the_event_names_the_person():
    by = inspector()
    part = captured_part()

    event = move(part, PartState.INSPECTED, actor=Actor.person(by))

    assert (event.actor_kind, event.actor_name, event.person) == ("person", by.username, by)


def test_an_illegal_move_writes_nothing():
    part = captured_part()
    row, events = row_of(part), Event.objects.count()

    with pytest.raises(IllegalMove, match="A part that is captured cannot become triggered"):
        move(part, PartState.TRIGGERED, actor=TESTER)

    assert (row_of(part), Event.objects.count(), part.state) == (row, events, PartState.CAPTURED)


def test_a_stale_move_writes_nothing():
    part = captured_part()
    same_part = Part.objects.get(pk=part.pk)
    move(part, PartState.INSPECTED, actor=TESTER)
    row, events = row_of(part), Event.objects.count()

    with pytest.raises(StaleState, match="somebody else was first"):
        move(same_part, PartState.INSPECTED, actor=TESTER, serial="never written")

    assert (row_of(part), Event.objects.count()) == (row, events)
    assert (same_part.state, same_part.serial) == (PartState.CAPTURED, "")


def test_a_row_that_left_and_came_back_is_stale_too():
    part = captured_part()
    Part.objects.filter(pk=part.pk).update(version=part.version + 2)

    with pytest.raises(StaleState):
        move(part, PartState.INSPECTED, actor=TESTER)


def test_a_move_that_a_constraint_forbids_writes_nothing():
    part = captured_part()
    row, events = row_of(part), Event.objects.count()

    with pytest.raises(DatabaseError), transaction.atomic():
        move(part, PartState.HELD, actor=TESTER, hold_reason=Reason.NO_IMAGE, held_at=None)

    assert (row_of(part), Event.objects.count()) == (row, events)


def test_an_event_without_a_move_tells_the_state():
    part = held_part()

    event = record(part, "looked_at", actor=TESTER)

    assert (event.verb, event.before, event.after, event.subject_version) == (
        "looked_at",
        "",
        "held",
        part.version,
    )


@pytest.mark.django_db(transaction=True)
def test_of_eight_who_move_a_row_at_once_one_wins():
    part = captured_part()
    copies = [Part.objects.get(pk=part.pk) for _ in range(8)]

    answers = at_once(*[lambda copy=copy: move(copy, PartState.INSPECTED, actor=TESTER) for copy in copies])

    assert sorted(type(answer).__name__ for answer in answers) == ["Event"] + ["StaleState"] * 7
    assert Event.objects.filter(subject_kind="part", subject_id=part.pk, after="inspected").count() == 1


def test_events_and_seals_are_neither_changed_nor_deleted():
    from audit.actions import seal_events

    captured_part()
    seal_events()

    for row in (Event.objects.first(), Seal.objects.first()):
        with pytest.raises(AppendOnlyError):
            row.save()
        with pytest.raises(AppendOnlyError):
            row.delete()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_event SET verb = 'nothing happened'",
        "UPDATE audit_seal SET hash = 'x'",
        "DELETE FROM audit_event",
        "DELETE FROM audit_seal",
    ],
)
def test_the_database_itself_refuses_to_change_the_trail(sql):
    from audit.actions import seal_events

    if sql.startswith("DELETE") and connection.vendor == "sqlite":
        pytest.skip("on SQLite a deleted link is found by the hash chain instead")
    captured_part()
    seal_events()

    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)


def test_the_actor_of_a_page_is_the_person_and_not_a_name():
    somebody = person()

    assert str(Actor.person(somebody)) == f"person:{somebody.username}"
    assert str(Actor.system("sweeper")) == "system:sweeper"
