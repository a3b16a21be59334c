"""The quality expert's word on a tie."""

from django.db import transaction
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from inspection.actions import dispose
from inspection.states import Outcome, PartState, Reason, Source
from review.actions.book import write_criterion
from review.actions.errors import TooLateError
from review.actions.verdicts import close
from review.models import Case, Ruling
from review.states import CaseKind, CaseState, ClosedBy, Grade


@transaction.atomic
def rule(
    *,
    case: Case,
    person: Person,
    grade: Grade,
    note: str,
    defect_type: str = "",
    is_precedent: bool = False,
    criterion: str = "",
) -> Ruling:
    """Decide a tie: a good part that is held passes, a bad one is rejected; any other tie is decided for the record.

    is_precedent  from now on the ruling is shown beside parts that look alike
    criterion     what the acceptance book says from now on; empty writes no line

    Raises TooLateError if the tie is decided, or its deadline has passed and the sweeper has not been there yet.
    """
    if case.state != CaseState.TIED:
        raise TooLateError("This tie is decided already.")
    if case.deadline_at <= timezone.now():
        raise TooLateError("The deadline of this tie has passed; the fail-safe disposition is on its way.")
    actor = Actor.person(person)
    close(case, ClosedBy.RULING, actor)
    ruling = Ruling.objects.create(
        case=case,
        person=person,
        grade=grade,
        defect_type=defect_type if grade == Grade.BAD else "",
        note=note,
        is_precedent=is_precedent,
        ruled_at=timezone.now(),
    )
    if criterion:
        write_criterion(
            part_type=case.shown_part.line.part_type,
            text=criterion,
            defect_type=ruling.defect_type,
            person=person,
            ruling=ruling,
        )
    if case.kind == CaseKind.HELD and case.part.state == PartState.HELD:
        dispose(
            part=case.part,
            outcome=Outcome.PASS if grade == Grade.GOOD else Outcome.REJECT,
            source=Source.HUMAN,
            reason=Reason.RULING,
            person=person,
            note=note,
            actor=actor,
        )
    return ruling
