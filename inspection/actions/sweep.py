"""Nothing waits for ever: lost rings are rung again, parts without image or decision fail safe."""

import logging
from datetime import datetime

from audit.actor import Actor
from audit.transitions import IllegalMove, StaleState
from inspection.actions.decisions import hold_or_reject
from inspection.doorbell import ring_inspection
from inspection.models import Line, Part
from inspection.queries import overdue_captures, overdue_inspections, unrung_parts
from inspection.states import Reason

MOST_A_SWEEP = 200
_log = logging.getLogger(__name__)


def sweep(*, now: datetime, actor: Actor) -> dict[str, int]:
    """Ring again for captured parts, hold or reject what waited too long; returns how many of each."""
    done = {"rung": 0, "no_image": 0, "late": 0}
    for part in unrung_parts(now)[:MOST_A_SWEEP]:
        ring_inspection(part)
        done["rung"] += 1
    for line in Line.objects.all():
        for part in overdue_captures(line, now)[:MOST_A_SWEEP]:
            done["no_image"] += _fail_safe(
                part, Reason.NO_IMAGE, "the camera sent nothing for this trigger", actor
            )
        for part in overdue_inspections(line, now)[:MOST_A_SWEEP]:
            done["late"] += _fail_safe(
                part, Reason.INSPECTION_LATE, "no inspect worker answered in time", actor
            )
    return done


def _fail_safe(part: Part, reason: Reason, note: str, actor: Actor) -> int:
    try:
        hold_or_reject(part=part, reason=reason, note=note, actor=actor)
    except (StaleState, IllegalMove):  # the camera or the worker was first after all
        return 0
    except Exception:
        # The parts behind this one wait too.
        _log.exception("part %s waits for the next turn", part.pk)
        return 0
    return 1
