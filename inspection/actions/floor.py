"""Setting up lines and stations."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from audit.actor import Actor
from audit.transitions import record
from inspection.models import Line, PartType, Station
from inspection.states import Mode


@transaction.atomic
def set_up_line(
    *, code: str, name: str, part_type: str, station: str, hold_mailbox: str, actor: Actor, **line_fields: Any
) -> Station:
    """Make a line with its part type and one station, or return the station that is there."""
    found = Station.objects.select_related("line").filter(code=station).first()
    if found:
        return found
    kind, _ = PartType.objects.get_or_create(
        code=part_type, defaults={"name": part_type.replace("_", " ").capitalize()}
    )
    line = Line(code=code, name=name, part_type=kind, **line_fields)
    line.full_clean()
    line.save()
    place = Station(line=line, code=station, hold_mailbox=hold_mailbox, name=f"{name} camera")
    place.full_clean()
    place.save()
    record(line, "set_up", actor=actor, details={"code": code, "part_type": part_type})
    record(place, "set_up", actor=actor, details={"code": station, "hold_mailbox": hold_mailbox})
    return place


@transaction.atomic
def change_mode(*, line: Line, mode: Mode, actor: Actor) -> Line:
    """Switch a line between two-tier and automatic; parts that are already held keep waiting for their person."""
    if line.mode != mode:
        record(line, "mode_changed", actor=actor, details={"before": line.mode, "after": mode})
        line.mode = mode
        line.save(update_fields=["mode"])
    return line


@transaction.atomic
def degrade_line(*, line: Line, why: str, actor: Actor) -> bool:
    """From now on reject what would be held, because nobody would judge it in time; False if it is so already."""
    since = timezone.now()
    if not Line.objects.filter(pk=line.pk, overflow_since=None).update(overflow_since=since):
        return False
    record(line, "degraded", actor=actor, details={"why": why})
    line.overflow_since = since
    return True


@transaction.atomic
def restore_line(*, line: Line, why: str, actor: Actor) -> bool:
    """Hold grey parts for people again; False if it is so already."""
    if not Line.objects.filter(pk=line.pk, overflow_since__isnull=False).update(overflow_since=None):
        return False
    record(line, "restored", actor=actor, details={"why": why})
    line.overflow_since = None
    return True
