"""What one may ask of the audit trail."""

import hashlib
import json
from collections.abc import Iterator

from django.db.models import Max, QuerySet

from audit.models import Event, Seal

GENESIS = "0" * 64
# Event ids are given before commit, so a smaller id may become visible after a larger one. A resync reads this
# far back again; a repeated message is harmless because it says only "look again".
RESYNC_OVERLAP = 50


def events_of(kind: str, subject_id: int) -> QuerySet[Event]:
    return Event.objects.filter(subject_kind=kind, subject_id=subject_id).order_by("id")


def newest_seq() -> int:
    return Event.objects.aggregate(newest=Max("id"))["newest"] or 0


def events_since(seq: int, *, limit: int) -> list[Event]:
    """The newest `limit` events after seq (with the overlap), oldest first."""
    after = Event.objects.filter(id__gt=seq - RESYNC_OVERLAP).order_by("-id")[:limit]
    return list(after)[::-1]


def unsealed_events() -> QuerySet[Event]:
    return Event.objects.filter(seal=None).order_by("id")


def link_hash(previous_hash: str, event: Event) -> str:
    """sha256 over the previous link and the event as canonical JSON."""
    text = json.dumps(
        [
            event.pk,
            event.at.isoformat(),
            event.actor_kind,
            event.actor_name,
            event.person_id,
            event.subject_kind,
            event.subject_id,
            event.subject_version,
            event.verb,
            event.before,
            event.after,
            event.details,
        ],
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(f"{previous_hash}{text}".encode()).hexdigest()


def broken_links() -> Iterator[str]:
    """Walk the chain from its first link; yield a sentence for every break."""
    previous_hash, expected = GENESIS, 1
    for seal in Seal.objects.select_related("event").order_by("number").iterator(chunk_size=2000):
        if seal.number != expected:
            yield f"Link {expected} is missing: the chain goes on at {seal.number}."
        if seal.previous_hash != previous_hash:
            yield f"Link {seal.number} does not follow the link before it."
        if seal.hash != link_hash(seal.previous_hash, seal.event):
            yield f"Event {seal.event_id} ({seal.event.verb} of {seal.event.subject_kind} {seal.event.subject_id}) was changed."
        previous_hash, expected = seal.hash, seal.number + 1
