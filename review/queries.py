"""What one may ask about cases, verdicts and ties."""

from datetime import datetime

from django.db.models import Prefetch, QuerySet

from inspection.models import Inspection, Part
from inspection.queries import held_parts
from review.models import Case, Verdict
from review.states import CaseState

Lines = frozenset[str] | None  # codes of lines; None is every line


def parts_without_case() -> QuerySet[Part]:
    return held_parts().filter(case=None).select_related("line")


def cases(lines: Lines = None) -> QuerySet[Case]:
    """Cases on these lines with all that a screen shows of them, in a fixed number of queries."""
    found = Case.objects.select_related("part", "part__line", "part__station", "reviewer").prefetch_related(
        "part__images",
        Prefetch("part__inspections", queryset=Inspection.objects.select_related("golden")),
    )
    return found if lines is None else found.filter(part__line__code__in=lines)


def waiting_cases(lines: Lines = None) -> QuerySet[Case]:
    """The queue: most urgent first."""
    return cases(lines).filter(state=CaseState.WAITING).order_by("deadline_at", "part_id")


def open_cases(lines: Lines = None) -> QuerySet[Case]:
    return cases(lines).exclude(state=CaseState.CLOSED).order_by("deadline_at", "part_id")


def ties(lines: Lines = None) -> QuerySet[Case]:
    """Cases that wait for the expert; their `verdicts` are fetched as those that stand, oldest first."""
    standing = Verdict.objects.filter(undone_at=None).order_by("given_at", "id")
    return (
        cases(lines)
        .filter(state=CaseState.TIED)
        .prefetch_related(Prefetch("verdicts", queryset=standing))
        .order_by("deadline_at", "part_id")
    )


def leased_case(person_id: int) -> Case | None:
    return cases(None).filter(state=CaseState.LEASED, reviewer_id=person_id).first()


def expired_leases(now: datetime) -> QuerySet[Case]:
    return Case.objects.filter(state=CaseState.LEASED, lease_expires_at__lt=now)


def expired_cases(now: datetime) -> QuerySet[Case]:
    """Open cases past their deadline; a verdict in its commit window was in time and is not among them."""
    return (
        Case.objects.select_related("part", "part__line")
        .filter(deadline_at__lt=now)
        .exclude(state__in=[CaseState.CLOSED, CaseState.DECIDED])
    )


def due_verdicts(now: datetime) -> QuerySet[Verdict]:
    """Standing verdicts whose commit window is over."""
    return Verdict.objects.select_related("case", "case__part", "case__part__line", "person").filter(
        undone_at=None, commit_at__lte=now, case__state=CaseState.DECIDED
    )


def standing_verdict(case: Case) -> Verdict | None:
    return case.verdicts.filter(undone_at=None).first()


def verdicts_given(person_id: int, *, since: datetime) -> int:
    """How many verdicts of this person since then stand."""
    return Verdict.objects.filter(person_id=person_id, given_at__gte=since, undone_at=None).count()


def queue_figures(lines: Lines, now: datetime) -> dict[str, float | int | None]:
    """How many wait, and how long the oldest has waited, in seconds."""
    waiting = waiting_cases(lines)
    oldest = waiting.order_by("opened_at").values_list("opened_at", flat=True).first()
    return {
        "waiting": waiting.count(),
        "oldest_s": (now - oldest).total_seconds() if oldest else None,
        "ties": ties(lines).count(),
    }
