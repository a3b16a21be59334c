"""Parts found by filters, on the lines that a person may see."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from accounts.models import Person, Role
from accounts.queries import line_codes, only_judges
from inspection.models import Line, Part
from inspection.queries import parts_matching
from review.queries import parts_shown

PAGE = 50


@dataclass(frozen=True, slots=True)
class Asked:
    """The filters of GET parts/."""

    serial: str = ""
    line: str = ""
    state: str = ""
    disposition: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


def lines_of(person: Person, *roles: Role) -> list[Line]:
    """Lines on which the person has one of these roles; any role if none is named."""
    codes = line_codes(person, *(roles or Role))
    lines = Line.objects.select_related("part_type").order_by("code")
    return list(lines if codes is None else lines.filter(code__in=codes))


def parts_for(person: Person) -> QuerySet[Part]:
    codes = line_codes(person, *Role)
    parts = Part.objects.select_related("line", "station", "part_type")
    return _unbiased(parts if codes is None else parts.filter(line__code__in=codes), person)


def _unbiased(parts: QuerySet[Part], person: Person) -> QuerySet[Part]:
    """Who judges parts and does nothing else looks none up that is or was in review: its record tells too much."""
    if not only_judges(person):
        return parts
    return parts.exclude(pk__in=parts_shown().values("pk"))


def page_of_parts(person: Person, asked: Asked) -> tuple[list[Part], int | None]:
    """One page, newest first, and the number below which the next page begins (None: this was the last)."""
    found = parts_matching(
        serial=asked.serial,
        line=asked.line,
        state=asked.state,
        disposition=asked.disposition,
        since=asked.since,
        until=asked.until,
    ).prefetch_related(None)
    codes = line_codes(person, *Role)
    if codes is not None:
        found = found.filter(line__code__in=codes)
    found = _unbiased(found, person)
    if asked.before is not None:
        found = found.filter(pk__lt=asked.before)
    rows = list(found.order_by("-pk")[: PAGE + 1])
    return rows[:PAGE], rows[PAGE - 1].pk if len(rows) > PAGE else None
