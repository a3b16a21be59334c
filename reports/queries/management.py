"""The management report: one cross table of the period, from which every rate is counted."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Count, Exists, F, FilteredRelation, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Trunc

from inspection.models import Disposition, Inspection, Line, Part
from inspection.states import Decision, Outcome, Reason, Source
from labeling.models import Grade as PartGrade
from labeling.models import KnownTruth
from metrics.rates import Rate
from plc.models import Delivery
from plc.states import DeliveryState
from reports.figures import RateFigure, SpreadFigure
from review.models import Case
from review.states import CaseKind, ClosedBy, Grade


class Cell(NamedTuple):
    """How many parts share all of these."""

    line: str
    truth: str
    truth_is_known: bool
    decision: str
    was_held: bool
    outcome: str
    source: int | None
    parts: int


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one line (or of all lines together) over one period."""

    line_code: str
    line_name: str
    triggered: int
    final: int
    final_yield: RateFigure
    first_pass_yield: RateFigure
    review_rate: RateFigure
    system_underkill: RateFigure
    system_overkill: RateFigure
    model_underkill: RateFigure
    model_overkill: RateFigure
    model_grey: RateFigure
    truth_known: int
    truth_graded: int
    sources: list[tuple[str, int, int]]
    hold_reasons: list[tuple[str, int]]
    review_time: SpreadFigure
    plc_ack: SpreadFigure

    @property
    def yields(self) -> list[RateFigure]:
        return [self.final_yield, self.first_pass_yield, self.review_rate]

    @property
    def system(self) -> list[RateFigure]:
        return [self.system_underkill, self.system_overkill]

    @property
    def model(self) -> list[RateFigure]:
        return [self.model_underkill, self.model_overkill, self.model_grey]

    @property
    def truth_note(self) -> str:
        """What underkill and overkill rest on: people grade mostly grey parts, which are the hard ones."""
        known, graded = self.truth_known, self.truth_graded
        if not known and not graded:
            return "The truth of no part of this period is known: underkill and overkill cannot be told."
        sentence = f"Underkill and overkill count the {known + graded} of {self.triggered} parts whose truth is known"
        if not graded:
            return f"{sentence}, all independently of the people who decided."
        return (
            f"{sentence}: {known} independently, {graded} from verdicts and rulings. Parts that people graded are mostly "
            "grey ones, and agree with the verdicts that disposed them: these rates are not those of all parts."
        )

    @property
    def times(self) -> list[SpreadFigure]:
        return [self.review_time, self.plc_ack]


ALL_LINES = ""


def reports_by_line(lines: list[Line], *, since: datetime, until: datetime) -> list[Report]:
    """One report a line, and first, if there are several lines, one over all; always four queries.

    A part belongs to the period in which it was triggered.
    """
    parts = Part.objects.filter(line__in=lines, triggered_at__gte=since, triggered_at__lt=until)
    cells, holds = cross_table(parts), _hold_reasons(parts)
    reviews, acks = _review_times_ms(parts), _plc_ack_times_ms(parts)
    names = {line.code: line.name for line in lines}
    if len(names) > 1:
        names = {ALL_LINES: "All lines", **names}
    return [
        _report(
            code,
            name,
            [cell for cell in cells if code in {ALL_LINES, cell.line}],
            Counter({why: n for (line, why), n in holds.items() if code in {ALL_LINES, line}})
            if code
            else _summed(holds),
            [ms for line, ms in reviews if code in {ALL_LINES, line}],
            [ms for line, ms in acks if code in {ALL_LINES, line}],
        )
        for code, name in names.items()
    ]


def cross_table(parts: QuerySet[Part]) -> list[Cell]:
    """Parts by line, truth, the model's decision, whether they were held, and their final disposition."""
    known = KnownTruth.objects.filter(part=OuterRef("pk"))
    grade = PartGrade.objects.filter(part=OuterRef("pk"))
    rows = (
        parts.annotate(
            line_code=F("line__code"),
            truth=Coalesce(Subquery(known.values("grade")[:1]), Subquery(grade.values("grade")[:1])),
            truth_is_known=Exists(known),
            decision=Subquery(Inspection.objects.filter(part=OuterRef("pk")).values("decision")[:1]),
            was_held=Exists(Disposition.objects.filter(part=OuterRef("pk"), outcome=Outcome.HOLD)),
            final=FilteredRelation("dispositions", condition=Q(dispositions__is_final=True)),
        )
        .values_list(
            "line_code", "truth", "truth_is_known", "decision", "was_held", "final__outcome", "final__source"
        )
        .annotate(count=Count("pk"))
        .order_by()
    )
    return [
        Cell(line, (truth or "").lower(), is_known, decision or "", was_held, outcome or "", source, count)
        for line, truth, is_known, decision, was_held, outcome, source, count in rows
    ]


def _hold_reasons(parts: QuerySet[Part]) -> dict[tuple[str, int], int]:
    rows = (
        Disposition.objects.filter(part__in=parts, outcome=Outcome.HOLD)
        .values_list("part__line__code", "reason")
        .annotate(count=Count("pk"))
        .order_by()
    )
    return {(line, reason): count for line, reason, count in rows}


def _summed(holds: dict[tuple[str, int], int]) -> Counter[int]:
    total: Counter[int] = Counter()
    for (_, reason), count in holds.items():
        total[reason] += count
    return total


def _review_times_ms(parts: QuerySet[Part]) -> list[tuple[str, float]]:
    """From HOLD to the moment when a person's word was carried out."""
    closed = Case.objects.filter(closed_by__in=[ClosedBy.VERDICT, ClosedBy.RULING], late_at=None)
    rows = closed.filter(part__in=parts, kind=CaseKind.HELD).values_list(
        "part__line__code", "opened_at", "closed_at"
    )
    return [(line, (closed - opened).total_seconds() * 1000) for line, opened, closed in rows if closed]


def _plc_ack_times_ms(parts: QuerySet[Part]) -> list[tuple[str, float]]:
    """From the trigger to the PLC program's ack, for parts that the model disposed alone."""
    rows = Delivery.objects.filter(
        disposition__part__in=parts,
        disposition__is_final=True,
        disposition__source=Source.MODEL,
        state=DeliveryState.ACKED,
    ).values_list("disposition__part__line__code", "disposition__part__triggered_at", "acked_at")
    return [(line, (acked - triggered).total_seconds() * 1000) for line, triggered, acked in rows if acked]


# --- counting ---------------------------------------------------------------------------------------------
def _report(
    code: str,
    name: str,
    cells: list[Cell],
    holds: Counter[int],
    review_ms: list[float],
    ack_ms: list[float],
) -> Report:
    def count(does_count: Callable[[Cell], bool]) -> int:
        return sum(cell.parts for cell in cells if does_count(cell))

    def share(of: Callable[[Cell], bool], among: Callable[[Cell], bool]) -> Rate:
        return Rate.of(count(lambda cell: among(cell) and of(cell)), count(among))

    return Report(
        line_code=code,
        line_name=name,
        triggered=count(lambda _: True),
        final=count(_is_final),
        final_yield=RateFigure(
            "final_yield",
            "Final yield",
            share(_passed, _is_final),
            "decided parts passed",
            "No part has a final disposition in this period.",
        ),
        first_pass_yield=RateFigure(
            "first_pass_yield",
            "First-pass yield",
            share(lambda cell: _passed(cell) and not cell.was_held, _is_final),
            "decided parts passed at once, without a person",
            "No part has a final disposition in this period.",
        ),
        review_rate=RateFigure(
            "review_rate",
            "Review rate",
            share(lambda cell: cell.was_held, lambda cell: _is_final(cell) or cell.was_held),
            "decided parts were held for a person",
            "No part was decided in this period.",
        ),
        system_underkill=RateFigure(
            "system_underkill",
            "Underkill",
            share(_passed, lambda cell: cell.truth == Grade.BAD and _is_final(cell)),
            "bad parts passed",
            "No bad part with known truth in this period.",
        ),
        system_overkill=RateFigure(
            "system_overkill",
            "Overkill",
            share(
                lambda cell: cell.outcome == Outcome.REJECT,
                lambda cell: cell.truth == Grade.GOOD and _is_final(cell),
            ),
            "good parts were rejected",
            "No good part with known truth in this period.",
        ),
        model_underkill=RateFigure(
            "model_underkill",
            "Underkill",
            share(
                lambda cell: cell.decision == Decision.GOOD,
                lambda cell: cell.truth == Grade.BAD and bool(cell.decision),
            ),
            "bad parts were called GOOD",
            "The model has decided no bad part with known truth.",
        ),
        model_overkill=RateFigure(
            "model_overkill",
            "Overkill",
            share(
                lambda cell: cell.decision == Decision.BAD,
                lambda cell: cell.truth == Grade.GOOD and bool(cell.decision),
            ),
            "good parts were called BAD",
            "The model has decided no good part with known truth.",
        ),
        model_grey=RateFigure(
            "model_grey",
            "Grey",
            share(lambda cell: cell.decision == Decision.GREY, lambda cell: bool(cell.decision)),
            "scored parts were left to a person",
            "The model has scored no part in this period.",
        ),
        truth_known=count(lambda cell: cell.truth_is_known),
        truth_graded=count(lambda cell: bool(cell.truth) and not cell.truth_is_known),
        sources=[
            (
                str(source.label),
                count(lambda cell, source=source: cell.source == source and _passed(cell)),  # type: ignore[misc]
                count(lambda cell, source=source: cell.source == source and not _passed(cell)),  # type: ignore[misc]
            )
            for source in Source
        ],
        hold_reasons=[(str(Reason(reason).label), n) for reason, n in holds.most_common()],
        review_time=SpreadFigure.of(
            "review_time",
            "Review time, hold to carried out",
            review_ms,
            high=95,
            nothing="No case was closed by a person in this period.",
        ),
        plc_ack=SpreadFigure.of(
            "plc_ack",
            "Trigger to PLC ack, automatic parts",
            ack_ms,
            high=99,
            nothing="The PLC has acknowledged no automatic part in this period.",
        ),
    )


def _is_final(cell: Cell) -> bool:
    return bool(cell.outcome)


def _passed(cell: Cell) -> bool:
    return cell.outcome == Outcome.PASS


# --- over time --------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Bucket:
    """Parts that were triggered in one minute, hour or day, by what became of them."""

    begins_at: datetime
    triggered: int
    passed: int
    rejected: int
    held: int
    yield_rate: RateFigure


STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
MOST_MINUTES, MOST_HOURS = timedelta(hours=3), timedelta(days=4)


def over_time(lines: list[Line], *, since: datetime, until: datetime) -> tuple[str, list[Bucket]]:
    """(minute, hour or day, as the parts' own span asks; its buckets from the first part to the last, none left out)."""
    parts = Part.objects.filter(line__in=lines, triggered_at__gte=since, triggered_at__lt=until)
    span = parts.aggregate(first=Min("triggered_at"), last=Max("triggered_at"))
    if span["first"] is None:
        return "minute", []
    length = span["last"] - span["first"]
    step = "minute" if length <= MOST_MINUTES else "hour" if length <= MOST_HOURS else "day"
    rows = (
        parts.annotate(
            begins_at=Trunc("triggered_at", step),
            final=FilteredRelation("dispositions", condition=Q(dispositions__is_final=True)),
        )
        .values("begins_at")
        .annotate(
            triggered=Count("pk"),
            passed=Count("pk", filter=Q(final__outcome=Outcome.PASS)),
            rejected=Count("pk", filter=Q(final__outcome=Outcome.REJECT)),
            held=Count("pk", filter=Q(held_at__isnull=False)),
        )
        .order_by("begins_at")
    )
    counted = {row["begins_at"]: row for row in rows}
    buckets, at, last = [], min(counted), max(counted)
    while at <= last:
        row = counted.get(at, {"begins_at": at, "triggered": 0, "passed": 0, "rejected": 0, "held": 0})
        buckets.append(Bucket(**row, yield_rate=_bucket_yield(row["passed"], row["rejected"])))
        at += STEPS[step]
    return step, buckets


def _bucket_yield(passed: int, rejected: int) -> RateFigure:
    return RateFigure(
        "final_yield",
        "Yield",
        Rate.of(passed, passed + rejected),
        "decided parts passed",
        "No part was decided.",
    )
