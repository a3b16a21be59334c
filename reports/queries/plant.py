"""Counts over the whole install, for monitoring."""

from datetime import datetime

from django.db.models import Count

from inspection.models import Disposition, GoldenConfiguration, Line, Part
from inspection.states import GoldenState, Outcome, PartState
from plc.models import Delivery
from plc.queries import undelivered_dispositions
from plc.states import OPEN_DELIVERY_STATES
from review.queries import queue_figures

Labelled = dict[tuple[str, ...], int]


def parts_by_state() -> Labelled:
    """(line, state) -> parts; every state is named, so that a series never disappears."""
    counted = {
        (line, str(state)): 0 for line in Line.objects.values_list("code", flat=True) for state in PartState
    }
    rows = Part.objects.values_list("line__code", "state").annotate(count=Count("pk")).order_by()
    return counted | {(line, state): count for line, state, count in rows}


def final_dispositions() -> Labelled:
    """(line, outcome, source) -> final dispositions ever made; a corrected one stays counted, so it only grows."""
    rows = (
        Disposition.objects.exclude(outcome=Outcome.HOLD)
        .values_list("part__line__code", "outcome", "source")
        .annotate(count=Count("pk"))
        .order_by()
    )
    return {(line, outcome, str(source)): count for line, outcome, source, count in rows}


def waiting_figures(now: datetime) -> dict[str, float]:
    queue = queue_figures(None, now)
    return {
        "captured_parts": Part.objects.filter(state=PartState.CAPTURED).count(),
        "waiting_cases": float(queue["waiting"] or 0),
        "oldest_case_s": float(queue["oldest_s"] or 0),
        "ties": float(queue["ties"] or 0),
        "undelivered": undelivered_dispositions().count()
        + Delivery.objects.filter(state__in=OPEN_DELIVERY_STATES).count(),
    }


def active_goldens() -> Labelled:
    """(line,) -> 1 if it has an active golden configuration, else 0."""
    active = set(
        GoldenConfiguration.objects.filter(state=GoldenState.ACTIVE).values_list("line__code", flat=True)
    )
    return {(line,): int(line in active) for line in Line.objects.values_list("code", flat=True)}
