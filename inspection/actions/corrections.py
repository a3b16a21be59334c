"""A final disposition that turns out wrong before the PLC has carried it out, and what counts if the PLC refuses."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import record
from inspection.doorbell import ring_gateways
from inspection.models import Disposition, Part
from inspection.states import Outcome, Reason, Source


class CorrectionError(Exception):
    """This part cannot be corrected (any more); the sentence says why."""


@transaction.atomic
def correct(*, part: Part, outcome: Outcome, person: Person, note: str, actor: Actor) -> Disposition:
    """Let the quality expert change the final disposition of a part that was held and has not left the lane.

    note  why; never empty

    The former disposition stays as a row that no longer counts. Raises CorrectionError if there is nothing to correct
    or the PLC was first, ValueError for HOLD or without a note.
    """
    if outcome == Outcome.HOLD or not note.strip():
        raise ValueError("A correction is PASS or REJECT, and says why.")
    former = _standing_final(part)
    if not part.dispositions.filter(outcome=Outcome.HOLD).exists():
        raise CorrectionError(f"{part} was never held: its disposition went to the PLC at the station.")
    if former is None:
        raise CorrectionError(f"{part} has no final disposition yet: its case is still open.")
    if former.outcome == outcome:
        raise CorrectionError(f"{part} has the disposition {outcome} already.")
    now = timezone.now()
    # Compare and swap: of this and the PLC's ack, which sets applied_at, one is first.
    if not Disposition.objects.filter(pk=former.pk, is_final=True, applied_at=None).update(
        is_final=False, superseded_at=now
    ):
        raise CorrectionError(
            f"The PLC has carried it out: {part} left the hold lane as {former.outcome}. "
            "A part that was passed and is bad is flagged as a missed defect."
        )
    corrected = Disposition.objects.create(
        part=part,
        outcome=outcome,
        is_final=True,
        source=Source.CHANGED,
        reason=Reason.CORRECTION,
        note=note.strip()[:300],
        person=person,
        decided_at=now,
    )
    record(
        part,
        "corrected",
        actor=actor,
        details={"before": former.outcome, "after": str(outcome), "note": corrected.note},
    )
    ring_gateways()
    return corrected


def _standing_final(part: Part) -> Disposition | None:
    """The part's final disposition, read behind the part's lock: corrections of one part come one after the other."""
    Part.objects.select_for_update().get(pk=part.pk)
    return part.dispositions.filter(is_final=True).first()


def note_applied(*, disposition: Disposition, at: datetime) -> None:
    """The PLC program has carried it out; from now on it cannot be corrected."""
    Disposition.objects.filter(pk=disposition.pk).update(applied_at=at)
    disposition.applied_at = at


@transaction.atomic
def reinstate_former(*, refused: Disposition, problem: str, actor: Actor) -> Disposition | None:
    """The PLC program refused a correction: let that disposition stand again which it may have been too late for.

    refused  a disposition of source CHANGED
    problem  what the PLC answered, in words

    What the PLC carried out stands. If it carried out nothing, the REJECT of the two stands: nobody may take a part for
    passed of which the PLC never heard it. Returns what stands again; None if nothing changes.
    """
    if (standing := _standing_final(refused.part)) is None or standing.pk != refused.pk:
        return None  # corrected once more: the newer word is on its way to the PLC
    former = Disposition.objects.filter(part=refused.part_id, superseded_at__isnull=False)
    again = former.filter(applied_at__isnull=False).order_by("-applied_at").first()
    if again is None and refused.outcome == Outcome.PASS:
        again = former.filter(outcome=Outcome.REJECT).order_by("-superseded_at").first()
    if again is None:
        return None
    Disposition.objects.filter(pk=refused.pk).update(is_final=False, superseded_at=timezone.now())
    Disposition.objects.filter(pk=again.pk).update(is_final=True, superseded_at=None)
    record(
        refused.part,
        "reinstated",
        actor=actor,
        details={"before": refused.outcome, "after": again.outcome, "problem": problem},
    )
    return again
