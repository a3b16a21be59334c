"""A passed part that somebody on the floor finds bad."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import record
from inspection.models import Part
from inspection.states import Outcome
from review.actions.errors import UnfitError
from review.models import Case, Flag
from review.states import CaseKind, CaseState
from review.urgency import slot_of

RULED_WITHIN = timedelta(days=7)


@transaction.atomic
def flag_part(*, part: Part, person: Person, note: str) -> Case:
    """Put the part before the quality expert; the same part again while that is open returns the same case.

    Raises UnfitError for a part that was not passed: only a passed part can be a missed defect.
    """
    Part.objects.select_for_update().get(pk=part.pk)
    if not part.dispositions.filter(is_final=True, outcome=Outcome.PASS).exists():
        raise UnfitError(f"Part {part} was not passed, so nothing was missed on it.")
    already = Case.objects.filter(part=part, kind=CaseKind.FLAGGED).exclude(state=CaseState.CLOSED).first()
    if already:
        return already
    now = timezone.now()
    deadline_at = now + RULED_WITHIN
    look = part.inspections.first()
    case = Case.objects.create(
        kind=CaseKind.FLAGGED,
        part=part,
        shown_part=part,
        shown_score=look.score if look else None,
        state=CaseState.TIED,
        opened_at=now,
        deadline_at=deadline_at,
        deadline_slot=slot_of(deadline_at),
        late_at=now,  # the part was disposed before: the ruling is for the record, and for containment
    )
    Flag.objects.create(case=case, person=person, note=note, flagged_at=now)
    record(case, "flagged", actor=Actor.person(person), details={"part": part.pk, "note": note})
    return case
