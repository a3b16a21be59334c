"""The acceptance book: written by quality experts, line by line; a line is retired, never changed."""

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import record
from inspection.models import PartType
from review.models import Criterion, Ruling


@transaction.atomic
def write_criterion(
    *, part_type: PartType, text: str, person: Person, defect_type: str = "", ruling: Ruling | None = None
) -> Criterion:
    """Add a line to the book of the part type under its next number."""
    PartType.objects.select_for_update().get(pk=part_type.pk)  # two experts number one after the other
    newest = Criterion.objects.filter(part_type=part_type).aggregate(newest=Max("number"))["newest"] or 0
    criterion = Criterion.objects.create(
        part_type=part_type,
        number=newest + 1,
        text=text,
        defect_type=defect_type,
        ruling=ruling,
        written_by=person,
        written_at=timezone.now(),
    )
    record(criterion, "written", actor=Actor.person(person), details={"number": newest + 1, "text": text})
    return criterion


@transaction.atomic
def retire_criterion(*, criterion: Criterion, person: Person) -> None:
    """From now on the line no longer counts; it stays readable."""
    if Criterion.objects.filter(pk=criterion.pk, retired_at=None).update(retired_at=timezone.now()):
        record(criterion, "retired", actor=Actor.person(person), details={"number": criterion.number})
