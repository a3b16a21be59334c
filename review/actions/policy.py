"""Setting how a line is reviewed, and which known parts may be slipped in."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import record
from inspection.models import Line, Part
from inspection.states import PartState
from review import queries
from review.actions.errors import UnfitError
from review.models import Probe, ReviewPolicy
from review.states import Grade

FIELDS = (
    "is_blind_first", "double_share", "newcomer_days", "probe_share", "audit_share", "amber_s",
    "break_after_min", "late_grading_h", "degrades_on_overflow", "overkill_cost", "reference_part",
    "defect_types",
)  # fmt: skip


@transaction.atomic
def set_policy(*, line: Line, actor: Actor, person: Person | None = None, **changes: Any) -> ReviewPolicy:
    """Write the line's next revision: what is not named stays as it is in force."""
    Line.objects.select_for_update().get(pk=line.pk)  # two people number one after the other
    before = queries.policy_of(line.pk)
    fields = {name: getattr(before, name) for name in FIELDS} | changes
    policy = ReviewPolicy(line=line, number=before.number + 1, set_by=person, set_at=timezone.now(), **fields)
    policy.full_clean()
    policy.save()
    told = {name: str(value) for name, value in changes.items()}
    record(policy, "set", actor=actor, details={"line": line.code, "number": policy.number, **told})
    return policy


@transaction.atomic
def add_probe(
    *, part: Part, grade: Grade, person: Person | None, actor: Actor, defect_type: str = ""
) -> Probe:
    """From now on the part may be slipped into queues of its part type. Its grade must be beyond doubt.

    Raises UnfitError for a part that is not disposed yet or has no image that anybody can see.
    """
    if part.state != PartState.DISPOSED:
        raise UnfitError(f"Part {part} is still on its way. Only a part that is disposed can be a probe.")
    if not any(not image.problem for image in part.images.all()):
        raise UnfitError(f"Part {part} has no image that can be shown.")
    probe, is_new = Probe.objects.get_or_create(
        part=part,
        retired_at=None,
        defaults={
            "grade": grade,
            "defect_type": defect_type,
            "added_by": person,
            "added_at": timezone.now(),
        },
    )
    if probe.grade != grade:
        raise UnfitError(f"Part {part} is a probe already, of grade {probe.grade}. Retire that one first.")
    if is_new:
        record(probe, "added", actor=actor, details={"part": part.pk, "grade": grade})
    return probe


@transaction.atomic
def retire_probe(*, probe: Probe, actor: Actor) -> None:
    """The part is slipped in no more; what people said of it stays in their record."""
    if Probe.objects.filter(pk=probe.pk, retired_at=None).update(retired_at=timezone.now()):
        record(probe, "retired", actor=actor, details={"part": probe.part_id})
