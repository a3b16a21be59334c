"""When people cannot keep up, the line rejects its grey parts, and takes them back as soon as they can."""

from datetime import datetime

from audit.actor import Actor
from inspection.actions import degrade_line, restore_line
from inspection.models import Line
from inspection.states import Mode
from review.capacity import Load, load_of
from review.models import Case, ReviewPolicy
from review.states import CaseState

UNATTENDED_FROM = 3  # so many cases went by unjudged while nothing tells how fast people are
RESTORED_BELOW = (
    0.5  # of the deadline: between the two limits nothing changes, so that the line does not flutter
)


def weigh_load(*, line: Line, policy: ReviewPolicy, now: datetime, actor: Actor) -> None:
    """Degrade a line whose new cases would miss their deadline; restore it once they would be judged in half of it."""
    if not policy.degrades_on_overflow or line.mode != Mode.TWO_TIER:
        if line.overflow_since:
            restore_line(line=line, why="overflow is not watched any more", actor=actor)
        return
    waits = Case.objects.filter(state=CaseState.WAITING, shown_part__line=line).exists()
    if not waits and not line.overflow_since:
        return
    load = load_of(line, now=now)
    if line.overflow_since is None and (why := _why_overflow(load)):
        degrade_line(line=line, why=why, actor=actor)
    elif line.overflow_since and _keeps_up(load):
        restore_line(line=line, why=f"{load.inspectors} inspectors can keep up again", actor=actor)


def _keeps_up(load: Load) -> bool:
    return load.backlog_s is not None and load.backlog_s < load.deadline_s * RESTORED_BELOW


def _why_overflow(load: Load) -> str:
    if load.backlog_s is None or not load.is_measured:
        if load.went_late >= UNATTENDED_FROM:
            return f"{load.went_late} cases went by unjudged"
        return ""
    if load.backlog_s > load.deadline_s:
        return (
            f"{load.waiting} cases wait for {load.inspectors} inspectors: a new one would be judged after "
            f"{load.backlog_s:.0f} s, its deadline is {load.deadline_s:.0f} s"
        )
    return ""
