"""What the review desk shows of each line."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count

from inspection.models import Line
from review import queries
from review.capacity import Load, load_of
from review.models import Case, Criterion, Probe, ReviewPolicy

MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Desk:
    line: Line
    load: Load
    policy: ReviewPolicy
    criteria: list[Criterion]
    probes: list[Probe]
    escapes: list[Case]


def desk_of(line: Line, *, now: datetime) -> Desk:
    lines = frozenset({line.code})
    book: Any = Criterion.objects.filter(part_type=line.part_type_id, retired_at=None)
    return Desk(
        line=line,
        load=load_of(line, now=now),
        policy=queries.policy_of(line.pk),
        criteria=list(book.select_related("written_by").order_by("number")),
        probes=list(queries.probes(lines).annotate(times=Count("cases"))[:MOST_SHOWN]),
        escapes=list(queries.escapes(lines)[:MOST_SHOWN]),
    )
