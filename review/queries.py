"""What one may ask about cases, verdicts and ties."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Count, Exists, Min, OuterRef, Prefetch, Q, QuerySet

from inspection.models import Inspection, Line, Part
from inspection.queries import held_parts
from review.models import Case, FirstOpinion, Probe, ReviewPolicy, Verdict, Watch
from review.states import CaseKind, CaseState, Grade

Lines = frozenset[str] | None  # codes of lines; None is every line

# A line for which nobody has set a policy: every case goes to one person, and nothing is slipped in.
PLAIN = ReviewPolicy(
    number=0,
    double_share=0.0,
    newcomer_days=0,
    probe_share=0.0,
    audit_share=0.0,
    late_grading_h=0,
    degrades_on_overflow=False,
)


# --- policies and people ----------------------------------------------------------------------------------
def policy_of(line_id: int) -> ReviewPolicy:
    """What is in force on the line now."""
    return ReviewPolicy.objects.filter(line=line_id).order_by("-number").first() or PLAIN


def policies_of(line_ids: Iterable[int]) -> dict[int, ReviewPolicy]:
    """What is in force on each of these lines, in one query."""
    wanted = set(line_ids)
    found: dict[int, ReviewPolicy] = {}
    for policy in ReviewPolicy.objects.filter(line__in=wanted).order_by("number"):
        found[policy.line_id] = policy
    return {line_id: found.get(line_id, PLAIN) for line_id in wanted}


def standing_watch(person_id: int) -> Watch | None:
    return Watch.objects.filter(person=person_id, cleared_at=None).first()


def first_verdict_at(person_id: int) -> datetime | None:
    """When this person began to judge parts."""
    return (
        Verdict.objects.filter(person=person_id)
        .order_by("given_at")
        .values_list("given_at", flat=True)
        .first()
    )


# --- cases ------------------------------------------------------------------------------------------------
def parts_without_case() -> QuerySet[Part]:
    opened = Case.objects.filter(part=OuterRef("pk"), kind=CaseKind.HELD)
    return (
        held_parts()
        .filter(~Exists(opened))
        .select_related("line")
        .prefetch_related(Prefetch("inspections", queryset=Inspection.objects.select_related("golden")))
    )


def cases(lines: Lines = None) -> QuerySet[Case]:
    """Cases on these lines with all that a screen shows of them, in a fixed number of queries."""
    found = Case.objects.select_related(
        "part", "part__station", "shown_part", "shown_part__line", "shown_part__line__part_type",
        "shown_part__station", "reviewer",
    ).prefetch_related(
        "part__images",
        Prefetch("part__inspections", queryset=Inspection.objects.select_related("golden")),
        Prefetch("shown_part__inspections", queryset=Inspection.objects.select_related("golden")),
    )  # fmt: skip
    return of_lines(lines, found)


def of_lines(lines: Lines, found: QuerySet[Case] | None = None) -> QuerySet[Case]:
    """Cases of these lines: the line of what is shown, for a probe's pictures may come from another one."""
    found = Case.objects.all() if found is None else found
    return found if lines is None else found.filter(shown_part__line__code__in=lines)


def bare_cases(lines: Lines = None) -> QuerySet[Case]:
    """Cases with what an action needs of them, and nothing of what a screen shows."""
    return of_lines(lines, Case.objects.select_related("shown_part__line"))


def waiting_cases(lines: Lines = None, *, person_id: int | None = None) -> QuerySet[Case]:
    """The queue: most urgent first, in a slot the costliest first; for a person, without what they have judged."""
    return in_turn(cases(lines), person_id=person_id)


def in_turn(found: QuerySet[Case], *, person_id: int | None = None) -> QuerySet[Case]:
    """Those of them that wait, in the order of the queue."""
    # That a waiting case is not closed is said again for SQLite, which would not use the queue's index otherwise.
    waiting = found.filter(state=CaseState.WAITING).exclude(state=CaseState.CLOSED)
    if person_id is not None:
        waiting = waiting.filter(~Exists(_judged_by(person_id)))
    return waiting.order_by("deadline_slot", "-expected_cost", "id")


def next_in_turn(lines: Lines, person_id: int, *, now: datetime, most: int) -> list[tuple[int, datetime]]:
    """The cases that a lease may give to this person, best first: id and opening, for only one is read whole."""
    found = of_lines(lines).exclude(deadline_at__lt=now)
    return list(in_turn(found, person_id=person_id).values_list("pk", "opened_at")[:most])


def _judged_by(person_id: int) -> QuerySet[Verdict]:
    return Verdict.objects.filter(case=OuterRef("pk"), person=person_id, undone_at=None)


def open_cases(lines: Lines = None) -> QuerySet[Case]:
    return cases(lines).exclude(state=CaseState.CLOSED).order_by("deadline_at", "id")


def ties(lines: Lines = None) -> QuerySet[Case]:
    """Cases that wait for the expert; their `verdicts` are fetched as those that stand, oldest first."""
    standing = Verdict.objects.filter(undone_at=None).order_by("given_at", "id")
    return (
        cases(lines)
        .filter(state=CaseState.TIED)
        .select_related("flag")
        .prefetch_related(Prefetch("verdicts", queryset=standing))
        .order_by("deadline_at", "id")
    )


def leased_case(person_id: int) -> Case | None:
    return bare_cases().filter(state=CaseState.LEASED, reviewer_id=person_id).first()


def case_of(part: Part) -> Case | None:
    """The case that the part was held for."""
    return Case.objects.filter(part=part, kind=CaseKind.HELD).first()


def case_in_hand(code: str, lines: Lines) -> Case | None:
    """The open case of the real part that carries this serial or number; nobody can hold a probe in the hand."""
    found = cases(lines).exclude(state=CaseState.CLOSED).filter(kind=CaseKind.HELD)
    return (
        found.filter(part__plc_part_id=code).first()
        or found.filter(part__serial=code).exclude(part__serial="").order_by("-opened_at").first()
    )


def has_first_opinion(case: Case, person_id: int) -> FirstOpinion | None:
    return FirstOpinion.objects.filter(case=case, person=person_id).first()


def parts_shown() -> QuerySet[Part]:
    """Parts whose number waits for an inspector's screen, is on one, or was: who decided them tells what they were."""
    return Part.objects.filter(pk__in=Case.objects.values("shown_part"))


# --- probes and audits ------------------------------------------------------------------------------------
def probes(lines: Lines = None) -> QuerySet[Probe]:
    """Known parts in use, newest first."""
    found = Probe.objects.filter(retired_at=None).select_related("part", "part__line", "added_by")
    return (found if lines is None else found.filter(part__line__code__in=lines)).order_by("-id")


def grey_scores(line: Line, *, most: int = 50) -> list[float]:
    """What scores the line's held parts had lately: an unmarked case wears one of them."""
    recent = Case.objects.filter(kind=CaseKind.HELD, part__line=line, shown_score__isnull=False)
    return [
        score
        for score in recent.order_by("-id").values_list("shown_score", flat=True)[:most]
        if score is not None
    ]


def hold_lags(line: Line, *, most: int = 20) -> list[timedelta]:
    """How long after its trigger each of the line's newest held parts was held."""
    held = Part.objects.filter(line=line, held_at__isnull=False).order_by("-id")
    return [
        at - triggered
        for at, triggered in held.values_list("held_at", "triggered_at")[:most]
        if at is not None
    ]


def escapes(lines: Lines = None) -> QuerySet[Case]:
    """Confirmed underkill: passed parts that were ruled bad, newest ruling first."""
    return (
        cases(lines)
        .filter(kind__in=[CaseKind.AUDIT, CaseKind.FLAGGED], ruling__grade=Grade.BAD)
        .select_related("ruling", "part__line")
        .order_by("-ruling__ruled_at", "-id")
    )


# --- time -------------------------------------------------------------------------------------------------
def expired_leases(now: datetime) -> QuerySet[Case]:
    return Case.objects.filter(state=CaseState.LEASED, lease_expires_at__lt=now)


def expired_cases(now: datetime) -> QuerySet[Case]:
    """Open cases past their deadline; a verdict in its commit window was in time and is not among them."""
    return (
        Case.objects.select_related("part", "part__line", "shown_part")
        .filter(deadline_at__lt=now)
        .exclude(state__in=[CaseState.CLOSED, CaseState.DECIDED])
    )


def due_verdicts(now: datetime) -> QuerySet[Verdict]:
    """Standing verdicts whose commit window is over."""
    return Verdict.objects.select_related(
        "case", "case__part", "case__part__line", "case__shown_part", "case__probe", "person"
    ).filter(undone_at=None, committed_at=None, commit_at__lte=now, case__state=CaseState.DECIDED)


def standing_verdicts(case: Case) -> list[Verdict]:
    """What stands on the case, oldest first."""
    return list(case.verdicts.filter(undone_at=None).order_by("given_at", "id"))


def verdict_in_window(case: Case) -> Verdict | None:
    """The verdict that can still be undone."""
    return case.verdicts.filter(undone_at=None, committed_at=None).first()


def verdicts_given(person_id: int, *, since: datetime) -> int:
    """How many verdicts of this person since then stand."""
    return Verdict.objects.filter(person_id=person_id, given_at__gte=since, undone_at=None).count()


def queue_figures(lines: Lines, now: datetime) -> dict[str, float | int | None]:
    """How many wait, and how long the oldest has waited, in seconds."""
    found = of_lines(lines).exclude(state=CaseState.CLOSED)
    in_time = Q(state=CaseState.WAITING, late_at=None)
    figures = found.aggregate(
        waiting=Count("pk", filter=in_time),
        oldest_at=Min("opened_at", filter=in_time),
        ties=Count("pk", filter=Q(state=CaseState.TIED)),
    )
    oldest_at = figures.pop("oldest_at")
    return {**figures, "oldest_s": (now - oldest_at).total_seconds() if oldest_at else None}
