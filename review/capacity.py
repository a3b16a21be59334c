"""Whether the people at the screens can keep up with a line: arrivals against hands (Erlang C)."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from accounts.models import Role, RoleOnLine
from inspection.models import Line
from metrics.queueing import erlang_c, time_to_overflow_s
from review.models import Case, Spell, Verdict
from review.states import CaseState

ARRIVALS_OVER = timedelta(minutes=15)
ACTIVE_WITHIN = timedelta(seconds=120)
HANDLED_LATELY = 50
USUAL_HANDLING_S = 20.0  # until enough verdicts tell
TELLING = 5  # verdicts from which on the measured time is taken at its word
LONGEST_HANDLING_S = 300.0  # a case left on the screen over lunch is no handling


@dataclass(frozen=True, slots=True)
class Load:
    """One line's queue now.

    arrivals_per_h       cases that joined it, over the last quarter of an hour
    inspectors           people who may judge its parts and were active in the last two minutes
    wait_s               mean wait by Erlang C; None where it grows without end
    time_to_overflow_s   until a case misses its deadline if all stays as it is; None if none does
    backlog_s            until somebody would have judged a case that joins now; None with nobody there
    is_measured          enough verdicts tell how long a case takes; else the usual time stands in
    went_late            cases of the last deadline period that nobody judged in time
    """

    line: str
    waiting: int
    oldest_s: float | None
    arrivals_per_h: float
    handling_s: float
    inspectors: int
    wait_s: float | None
    time_to_overflow_s: float | None
    backlog_s: float | None
    deadline_s: float
    is_measured: bool
    went_late: int
    overflow_since: datetime | None

    def record(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def load_of(line: Line, *, now: datetime) -> Load:
    """The line's queue against the hands that are there."""
    of_line = Case.objects.filter(shown_part__line=line)
    waiting = of_line.filter(state=CaseState.WAITING, late_at=None)
    oldest_at = waiting.order_by("opened_at").values_list("opened_at", flat=True).first()
    arrived = of_line.filter(opened_at__gt=now - ARRIVALS_OVER).count()
    deadline_s = line.review_deadline_ms / 1000
    count = waiting.count()
    inspectors = active_inspectors(line, now=now)
    handling_s, is_measured = handling_time_s(line)
    arrivals_per_s = arrived / ARRIVALS_OVER.total_seconds()
    oldest_s = (now - oldest_at).total_seconds() if oldest_at else None
    queue = erlang_c(arrivals_per_s=arrivals_per_s, handling_s=handling_s, inspectors=inspectors)
    overflow_s = time_to_overflow_s(
        arrivals_per_s=arrivals_per_s,
        handling_s=handling_s,
        inspectors=inspectors,
        waiting=count,
        deadline_s=deadline_s,
        oldest_wait_s=max(0.0, oldest_s or 0.0),
    )
    went_late = of_line.filter(late_at__gt=now - timedelta(seconds=deadline_s), verdicts=None).count()
    return Load(
        line=line.code,
        waiting=count,
        oldest_s=oldest_s,
        arrivals_per_h=round(arrivals_per_s * 3600, 1),
        handling_s=round(handling_s, 1),
        inspectors=inspectors,
        wait_s=_finite(queue.mean_wait_s),
        time_to_overflow_s=_finite(overflow_s),
        backlog_s=(count / inspectors + 1) * handling_s if inspectors else None,
        deadline_s=deadline_s,
        is_measured=is_measured,
        went_late=went_late,
        overflow_since=line.overflow_since,
    )


def active_inspectors(line: Line, *, now: datetime) -> int:
    """How many people who may judge parts of this line were at it in the last two minutes."""
    since = now - ACTIVE_WITHIN
    seen = set(Spell.objects.filter(ended_at=None, last_seen_at__gt=since).values_list("person", flat=True))
    seen |= set(Verdict.objects.filter(given_at__gt=since).values_list("person", flat=True))
    seen |= set(
        Case.objects.filter(state=CaseState.LEASED, leased_at__gt=since).values_list("reviewer", flat=True)
    )
    may = RoleOnLine.objects.filter(
        Q(line_code="") | Q(line_code=line.code), role__in=[Role.MANUAL_INSPECTOR, Role.QUALITY_EXPERT]
    )
    return may.filter(person__in=seen).values("person").distinct().count()


def handling_time_s(line: Line) -> tuple[float, bool]:
    """Mean time from lease to verdict over the last verdicts of the line, and whether there were enough of them."""
    lately = Verdict.objects.filter(case__shown_part__line=line, leased_at__isnull=False).order_by("-id")
    times = [
        min((given - leased).total_seconds(), LONGEST_HANDLING_S)
        for given, leased in lately.values_list("given_at", "leased_at")[:HANDLED_LATELY]
        if leased is not None
    ]
    if len(times) < TELLING:
        return USUAL_HANDLING_S, False
    return max(sum(times) / len(times), 0.5), True


def _finite(seconds: float) -> float | None:
    return round(seconds, 1) if math.isfinite(seconds) else None
