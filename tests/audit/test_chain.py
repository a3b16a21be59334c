"""Seals chain the events; whoever changes one is found."""

import pytest
from django.db import connection, transaction

from audit.actions import seal_events
from audit.models import Event, Seal
from audit.queries import GENESIS, broken_links, unsealed_events
from tests.audit.tampering import trail_unlocked
from tests.factories import held_part
from tests.review.helpers import at_once

pytestmark = pytest.mark.django_db


def test_every_event_gets_its_place_once():
    held_part()
    count = Event.objects.count()

    assert seal_events() == count
    assert seal_events() == 0
    assert list(Seal.objects.order_by("number").values_list("number", flat=True)) == list(range(1, count + 1))
    assert Seal.objects.get(number=1).previous_hash == GENESIS
    assert list(broken_links()) == []


def test_sealing_goes_on_where_it_stopped():
    held_part()
    seal_events(limit=2)
    held_part()
    while seal_events(limit=3):
        pass

    assert unsealed_events().count() == 0
    assert list(broken_links()) == []


def test_a_changed_event_is_found_and_named():
    held_part()
    seal_events()
    event = Event.objects.get(verb="held")

    with trail_unlocked(), connection.cursor() as cursor:
        cursor.execute("UPDATE audit_event SET actor_name = 'somebody else' WHERE id = %s", [event.pk])

    assert list(broken_links()) == [f"Event {event.pk} (held of part {event.subject_id}) was changed."]


def test_a_removed_link_is_found():
    held_part()
    seal_events()

    with trail_unlocked(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_seal WHERE number = 2")

    assert next(broken_links()) == "Link 2 is missing: the chain goes on at 3."


def test_a_resealed_forgery_breaks_the_next_link():
    from audit.queries import link_hash

    held_part()
    seal_events()
    second = Seal.objects.select_related("event").get(number=2)

    with trail_unlocked(), connection.cursor() as cursor:
        cursor.execute("UPDATE audit_event SET verb = 'forged' WHERE id = %s", [second.event_id])
        forged = Event.objects.get(pk=second.event_id)
        cursor.execute(
            "UPDATE audit_seal SET hash = %s WHERE number = 2", [link_hash(second.previous_hash, forged)]
        )

    assert list(broken_links()) == ["Link 3 does not follow the link before it."]


@pytest.mark.django_db(transaction=True)
def test_sealers_at_the_same_moment_do_not_fork_the_chain():
    for _ in range(5):
        held_part()

    at_once(*[seal_events] * 4)
    seal_events()

    assert list(broken_links()) == []
    assert unsealed_events().count() == 0


def test_an_event_of_a_transaction_that_failed_is_not_there():
    events = Event.objects.count()

    def held_and_then_failed():
        with transaction.atomic():
            held_part()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        held_and_then_failed()
    assert Event.objects.count() == events
