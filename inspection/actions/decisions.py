"""What the model's look means for the part, and the one place that disposes parts."""

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import move
from inspection.look import Look
from inspection.models import Disposition, Inspection, Part
from inspection.states import Decision, Mode, Outcome, PartState, Reason, Source
from metrics.thresholds import decision as decision_of

MOST_ATTEMPTS = 3


def begin_inspection(*, part: Part, actor: Actor) -> bool:
    """Count an attempt; False if this part has crashed its worker too often and is now held or rejected."""
    if part.attempts >= MOST_ATTEMPTS:
        hold_or_reject(
            part=part,
            reason=Reason.INSPECTION_FAILED,
            note=f"{part.attempts} attempts did not end",
            actor=actor,
        )
        return False
    # Outside any longer transaction: the count must survive the crash that it counts.
    Part.objects.filter(pk=part.pk).update(attempts=F("attempts") + 1, rung_at=timezone.now())
    return True


@transaction.atomic
def decide(*, part: Part, look: Look, actor: Actor) -> Inspection:
    """Turn one look into the part's decision: GOOD passes, BAD is rejected, GREY and every problem fail safe."""
    decision = ""
    if look.reason == Reason.CLEAR and look.golden is not None:
        # Raises ValueError for a score that is not finite: NaN is never below a threshold.
        decision = decision_of(look.score, grey_from=look.golden.grey_from, grey_to=look.golden.grey_to)
    score = look.score if decision else None
    # First the move: of two workers on one part the second is told before it writes anything.
    move(
        part,
        PartState.INSPECTED,
        actor=actor,
        details={
            "score": score,
            "decision": decision,
            "problem": look.problem,
            "golden": look.golden and look.golden.pk,
        },
    )
    inspection = Inspection.objects.create(
        part=part,
        golden=look.golden,
        score=score,
        decision=decision,
        problem=look.problem[:300],
        map_file=look.map_file,
        decided_by=actor.name,
        finished_at=timezone.now(),
        latency_ms=look.latency_ms,
    )
    match decision:
        case Decision.GOOD:
            dispose(
                part=part,
                outcome=Outcome.PASS,
                source=Source.MODEL,
                reason=Reason.CLEAR,
                inspection=inspection,
                actor=actor,
            )
        case Decision.BAD:
            dispose(
                part=part,
                outcome=Outcome.REJECT,
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


def hold_or_reject(
    *, part: Part, reason: Reason, actor: Actor, note: str = "", inspection: Inspection | None = None
) -> Disposition:
    """The fail-safe, written once: a two-tier line holds the part for a person, an automatic line rejects it."""
    if part.line.mode == Mode.TWO_TIER:
        return hold(part=part, reason=reason, note=note, inspection=inspection, actor=actor)
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
