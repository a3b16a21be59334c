"""What the model's look means for the part, and the one place that disposes parts."""

import logging
from collections.abc import Collection

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.durability import carried_commit
from audit.transitions import IllegalMove, StaleState, move
from inspection.doorbell import ring_gateways
from inspection.look import Look
from inspection.models import Disposition, Inspection, Part
from inspection.queries import parts_awaiting_inspection
from inspection.states import Decision, Mode, Outcome, PartState, Reason, Source

MOST_ATTEMPTS = 3
_log = logging.getLogger(__name__)


def claim_waiting(
    *, worker: str, limit: int, actor: Actor, besides: Collection[int] = (), only: int | None = None
) -> list[Part]:
    """Take waiting parts for this worker, oldest first, and count an attempt each; of two workers one gets a part.

    besides  parts that this worker has in its hands already
    only     this part and no other

    A part that has crashed its worker three times is held or rejected instead.
    """
    found = list(parts_awaiting_inspection(timezone.now(), besides=besides, only=only)[:limit])
    for part in found:
        if part.attempts >= MOST_ATTEMPTS:
            _quarantine(part, actor)
    fresh = [part for part in found if part.attempts < MOST_ATTEMPTS]
    if not fresh:
        return []
    # Committed before anybody looks at them: the count must survive the crash that it counts.
    with carried_commit():
        return [part for part in fresh if _claim(part, worker)]


def _claim(part: Part, worker: str) -> bool:
    """Compare and swap on the count."""
    won = Part.objects.filter(pk=part.pk, state=PartState.CAPTURED, attempts=part.attempts).update(
        attempts=F("attempts") + 1, claimed_at=timezone.now(), claimed_by=worker
    )
    part.attempts += won
    return won == 1


def _quarantine(part: Part, actor: Actor) -> None:
    try:
        hold_or_reject(
            part=part,
            reason=Reason.INSPECTION_FAILED,
            note=f"{part.attempts} attempts did not end",
            actor=actor,
        )
    except (StaleState, IllegalMove) as late:
        _log.info("part %s was decided elsewhere: %s", part.pk, late)


def release_claims(*, worker: str, parts: Collection[int] | None = None) -> int:
    """Give parts back to the queue: those named, or all that a worker of this name left behind when it died."""
    mine = Part.objects.filter(state=PartState.CAPTURED, claimed_by=worker, claimed_at__isnull=False)
    if parts is not None:
        mine = mine.filter(pk__in=parts)
    return mine.update(claimed_at=None)


def decide(*, part: Part, look: Look, actor: Actor) -> Inspection:
    """Turn one look into the part's decision: GOOD passes, BAD is rejected, GREY and every problem fail safe.

    The commit is carried by the gateway's own, which comes before the PLC hears of it.
    """
    with carried_commit():
        return _decide(part, look, actor)


def _decide(part: Part, look: Look, actor: Actor) -> Inspection:
    decision = look.decision
    score = look.score if decision else None
    # First the move: of two workers on one part the second is told before it writes anything.
    move(
        part,
        PartState.INSPECTED,
        actor=actor,
        details={
            "score": score,
            "decision": decision or "",
            "problem": look.problem,
            "golden": look.golden and look.golden.pk,
        },
    )
    inspection = Inspection.objects.create(
        part=part,
        golden=look.golden,
        score=score,
        decision=decision or "",
        problem=look.problem[:300],
        map_file=look.map_file,
        view=look.view,
        view_scores=look.view_scores if decision else {},
        defect=look.defect[:64] if decision else "",
        decided_by=actor.name,
        finished_at=timezone.now(),
        latency_ms=look.latency_ms,
    )
    match decision:
        case Decision.GOOD | Decision.BAD:
            dispose(
                part=part,
                outcome=Outcome.PASS if decision == Decision.GOOD else Outcome.REJECT,
                source=Source.MODEL,
                reason=Reason.CLEAR,
                inspection=inspection,
                actor=actor,
            )
        case Decision.GREY:
            hold_or_reject(part=part, reason=Reason.GREY_BAND, inspection=inspection, actor=actor)
        case _:
            hold_or_reject(
                part=part, reason=look.reason, note=look.problem, inspection=inspection, actor=actor
            )
    return inspection


def add_map(*, inspection: Inspection, map_file: str) -> None:
    """The defect map of a part that was decided before its map was kept."""
    with carried_commit():
        Inspection.objects.filter(pk=inspection.pk, map_file="").update(map_file=map_file)
    inspection.map_file = map_file


def hold_or_reject(
    *, part: Part, reason: Reason, actor: Actor, note: str = "", inspection: Inspection | None = None
) -> Disposition:
    """The fail-safe, written once: a two-tier line holds the part for a person, an automatic line rejects it.

    A line whose people cannot keep up rejects it too: never PASS, and nothing is held that nobody will look at.
    """
    if part.line.mode == Mode.TWO_TIER and part.line.overflow_since is None:
        return hold(part=part, reason=reason, note=note, inspection=inspection, actor=actor)
    if part.line.mode == Mode.TWO_TIER:
        note = f"{Reason(reason).label}. {note}".strip()
        reason = Reason.OVERFLOW
    return dispose(
        part=part,
        outcome=Outcome.REJECT,
        source=Source.FAIL_SAFE,
        reason=reason,
        note=note,
        inspection=inspection,
        actor=actor,
    )


@transaction.atomic
def hold(
    *, part: Part, reason: Reason, actor: Actor, note: str = "", inspection: Inspection | None = None
) -> Disposition:
    """Hold the part for a person; the PLC is told at once, its final disposition follows."""
    now = timezone.now()
    source = Source.MODEL if reason == Reason.GREY_BAND else Source.FAIL_SAFE
    move(
        part,
        PartState.HELD,
        actor=actor,
        details={"reason": reason, "note": note},
        hold_reason=reason,
        held_at=now,
    )
    ring_gateways()
    return Disposition.objects.create(
        part=part,
        outcome=Outcome.HOLD,
        is_final=False,
        source=source,
        reason=reason,
        note=note[:300],
        inspection=inspection,
        decided_at=now,
    )


@transaction.atomic
def dispose(
    *,
    part: Part,
    outcome: Outcome,
    source: Source,
    reason: Reason,
    actor: Actor,
    note: str = "",
    inspection: Inspection | None = None,
    person: Person | None = None,
) -> Disposition:
    """Give the part its one final disposition. The row is also the PLC's outbox: the gateway finds and sends it.

    Raises StaleState if somebody else disposed the part first, ValueError for a final HOLD.
    """
    if outcome == Outcome.HOLD:
        raise ValueError("HOLD is never final. Call hold().")
    now = timezone.now()
    move(
        part,
        PartState.DISPOSED,
        actor=actor,
        verb=outcome.lower(),
        details={"source": source, "reason": reason, "note": note},
        disposed_at=now,
    )
    ring_gateways()
    return Disposition.objects.create(
        part=part,
        outcome=outcome,
        is_final=True,
        source=source,
        reason=reason,
        note=note[:300],
        inspection=inspection,
        person=person,
        decided_at=now,
    )
