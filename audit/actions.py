"""Sealing: every event gets its place in the hash chain."""

from django.db import transaction

from audit.models import Event, Seal
from audit.queries import GENESIS, link_hash, unsealed_events


def seal_events(*, limit: int = 2000) -> int:
    """Chain the events that have no seal yet, oldest first; returns how many.

    Two sealers cannot fork the chain: the number is the primary key, so the second transaction fails whole.
    """
    events: list[Event] = list(unsealed_events()[:limit])
    if not events:
        return 0
    with transaction.atomic():
        last = Seal.objects.order_by("-number").first()
        number, previous = (last.number, last.hash) if last else (0, GENESIS)
        seals = []
        for event in events:
            number, digest = number + 1, link_hash(previous, event)
            seals.append(Seal(number=number, event=event, previous_hash=previous, hash=digest))
            previous = digest
        Seal.objects.bulk_create(seals)
    return len(events)
