"""Golden configurations: drafted by training, locked, activated; one is active on a line."""

from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import move, record
from inspection.models import GoldenConfiguration, Line
from inspection.queries import REFUSED, WARMED
from inspection.states import GoldenState


@transaction.atomic
def draft_golden(
    *,
    line: Line,
    model_name: str,
    model_sha256: str,
    family: str,
    grey_from: float,
    grey_to: float,
    preprocessing: dict[str, Any],
    actor: Actor,
) -> GoldenConfiguration:
    # The line's row is the lock that numbers its configurations.
    Line.objects.select_for_update().get(pk=line.pk)
    newest = GoldenConfiguration.objects.filter(line=line).aggregate(number=Max("number"))["number"] or 0
    golden = GoldenConfiguration.objects.create(
        line=line,
        part_type=line.part_type,
        number=newest + 1,
        model_name=model_name,
        model_sha256=model_sha256,
        family=family,
        grey_from=grey_from,
        grey_to=grey_to,
        preprocessing=preprocessing,
    )
    record(
        golden, "drafted", actor=actor, details={"model_sha256": model_sha256, "grey": [grey_from, grey_to]}
    )
    return golden


def lock_golden(*, golden: GoldenConfiguration, actor: Actor) -> GoldenConfiguration:
    """Freeze the configuration under the hash of its content; from now on the worker trusts only this content."""
    move(
        golden,
        GoldenState.LOCKED,
        actor=actor,
        details={"content_sha256": golden.computed_sha256()},
        locked_at=timezone.now(),
        content_sha256=golden.computed_sha256(),
    )
    return golden


@transaction.atomic
def activate_golden(
    *, golden: GoldenConfiguration, actor: Actor, person: Person | None = None
) -> GoldenConfiguration:
    """Make this the line's active configuration and retire the one before, in one transaction."""
    Line.objects.select_for_update().get(pk=golden.line_id)
    for before in GoldenConfiguration.objects.filter(line=golden.line_id, state=GoldenState.ACTIVE):
        move(before, GoldenState.RETIRED, actor=actor)
    move(golden, GoldenState.ACTIVE, actor=actor, activated_at=timezone.now(), activated_by=person)
    return golden


def report_readiness(
    *, golden: GoldenConfiguration, actor: Actor, ready: dict[str, Any] | None = None, refused: str = ""
) -> None:
    """The worker's word on a configuration that it loaded: what its proof gave, or why it cannot be used.

    The line page and the golden page show the newest word.
    """
    with transaction.atomic():
        record(golden, REFUSED if refused else WARMED, actor=actor, details=ready or {"problem": refused})
