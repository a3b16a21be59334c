"""What one may ask of the audit trail."""

import hashlib
import json
from collections.abc import Iterator

from django.db.models import Max, QuerySet

from audit.live import JUDGED, WITH_THE_EXPERT, judge_seq_of
from audit.models import Event, Seal

GENESIS = "0" * 64
# Event ids are given before commit, so a smaller id may become visible after a larger one. A resync reads this
# far back again; a repeated message is harmless because it says only "look again".
RESYNC_OVERLAP = 50
JUDGES_OVERLAP_US = 5_000_000  # the same in the time that stands for the number with who only judges
JUDGES_LOOK_BACK = 20_000  # events; a page that was away for longer reads everything again


def events_of(kind: str, subject_id: int) -> QuerySet[Event]:
    return Event.objects.filter(subject_kind=kind, subject_id=subject_id).order_by("id")


def newest_seq() -> int:
    return Event.objects.aggregate(newest=Max("id"))["newest"] or 0


def events_since(seq: int, *, limit: int) -> list[Event]:
    """The newest `limit` events after seq (with the overlap), oldest first."""
    after = Event.objects.filter(id__gt=seq - RESYNC_OVERLAP).order_by("-id")[:limit]
    return list(after)[::-1]


def newest_judge_seq() -> int:
    newest = next(iter(_judged_events(limit=1)), None)
    return (newest and judge_seq_of(newest)) or 0


def judged_events_since(seq: int, *, limit: int) -> list[Event] | None:
    """The events that who only judges missed, oldest first; None if they are too many or too old to tell."""
    found = _judged_events(limit=limit)
    missed = [event for event in found if (judge_seq_of(event) or 0) > seq - JUDGES_OVERLAP_US]
    is_whole = len(missed) < len(found) or newest_seq() <= JUDGES_LOOK_BACK
    return missed[::-1] if is_whole else None


def _judged_events(*, limit: int) -> list[Event]:
    """The newest ones first. Bounded from below: on a busy line with a quiet queue the next one may be far away."""
    recent = Event.objects.filter(id__gt=newest_seq() - JUDGES_LOOK_BACK, subject_kind=JUDGED)
    return list(recent.exclude(before=WITH_THE_EXPERT).order_by("-id")[:limit])


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
