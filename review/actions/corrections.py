"""The quality expert's second thought on a part that was held and has not left the lane."""

from django.db import transaction
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import record
from inspection.actions import CorrectionError, correct
from inspection.states import Outcome
from review.actions.errors import UnfitError
from review.models import Case, Ruling
from review.states import CaseKind, CaseState, ClosedBy, Grade


@transaction.atomic
def correct_verdict(*, case: Case, person: Person, grade: Grade, note: str, defect_type: str = "") -> Ruling:
    """Change what a verdict or ruling did to a held part, as long as the PLC has not carried it out.

    note  why; never empty

    The correction is the case's ruling from now on; the event keeps what was ruled before. Raises UnfitError for a
    part that nobody judged while it was held, or that the PLC has let go.
    """
    # Behind the case's lock: of two corrections the second finds what the first has ruled.
    case = Case.objects.select_for_update().get(pk=case.pk)
    _check_decided_by_people(case)
    actor = Actor.person(person)
    outcome = Outcome.PASS if grade == Grade.GOOD else Outcome.REJECT
    try:
        correct(part=case.part, outcome=outcome, person=person, note=note, actor=actor)
    except CorrectionError as unfit:
        raise UnfitError(str(unfit)) from unfit
    ruling = Ruling.objects.filter(case=case).first() or Ruling(case=case)
    former = {"grade": ruling.grade, "by": ruling.person_id, "note": ruling.note}
    ruling.person, ruling.grade, ruling.note, ruling.ruled_at = person, grade, note.strip(), timezone.now()
    ruling.defect_type = defect_type if grade == Grade.BAD else ""
    ruling.save()
    details = {"after": str(grade), "note": ruling.note, "former": former}
    record(case, "corrected", actor=actor, details=details)
    return ruling


def _check_decided_by_people(case: Case) -> None:
    if case.kind != CaseKind.HELD:
        raise UnfitError("Only the disposition of a part that was held can be corrected.")
    if case.state != CaseState.CLOSED:
        raise UnfitError("This case is not closed: a verdict is undone inside its window, a tie is ruled.")
    if case.late_at or case.closed_by not in {ClosedBy.VERDICT, ClosedBy.RULING}:
        raise UnfitError("Nobody decided this part in time: its fail-safe disposition stands.")
