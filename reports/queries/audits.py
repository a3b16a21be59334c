"""Bad parts among the automatic passes, estimated from the few that are drawn at random and judged by people.

What is drawn was passed and stays passed: nothing here enters a yield.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q

from inspection.models import Disposition, Line, Part
from inspection.states import Outcome, Source
from metrics.pass_audit import AuditedPasses, Escapes, draw_p, escapes
from reports.figures import FEWEST, percent
from reports.queries.management import ALL_LINES, Cell, cross_table
from review.models import AuditDraw, Case, ReviewPolicy
from review.queries import escapes as confirmed_escapes
from review.states import CaseKind, CaseState, ClosedBy, Grade

MOST_ESCAPES = 50
UNLIKELY = 0.001  # a draw this far off its share is not what it is said to be
GOOD, BAD, TIED, UNJUDGED, OPEN = "good", "bad", "tied", "unjudged", "open"


@dataclass(frozen=True, slots=True)
class Stratum:
    """Passes of one line that all had the same chance to be drawn, and what became of those that were."""

    line: str
    share: float
    passes: int
    good: int = 0
    bad: int = 0
    tied: int = 0
    unjudged: int = 0
    open: int = 0

    @property
    def judged(self) -> int:
        return self.good + self.bad

    @property
    def drawn(self) -> int:
        return self.judged + self.tied + self.unjudged + self.open

    @property
    def is_covered(self) -> bool:
        """Of a stratum whose drawn passes were all left unjudged nothing can be told."""
        return self.passes > 0 and (self.judged > 0 or self.drawn == 0)

    @property
    def as_judged(self) -> AuditedPasses:
        """Judged ones stand for all: as if those not judged had been missed by chance."""
        answered = self.judged / self.drawn if self.drawn else 1.0
        return AuditedPasses(self.line, self.passes, self.share * answered, self.judged, self.bad)

    @property
    def at_worst(self) -> AuditedPasses:
        """As if every drawn pass that nobody judged were bad."""
        return AuditedPasses(self.line, self.passes, self.share, self.drawn, self.drawn - self.good)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Audits of the passes of one line (or all) over a period.

    passes, uncovered  automatic passes that had a chance to be drawn; of these without any judged audit
    never_drawn        automatic passes from before the audit, or without a share, or not drawn from yet
    tied               an inspector did not pass them; they wait for the expert and may well be bad
    unjudged, open     nobody judged them in time; still on their way
    estimate           None with too few judged · worst: were all that nobody judged yet bad
    bad_stopped, rejects_unknown  parts known to be bad that were not passed automatically; rejected ones of unknown truth
    """

    strata: tuple[Stratum, ...]
    never_drawn: int
    estimate: Escapes | None
    worst: Escapes | None
    looks_drawn_as_said: bool
    bad_stopped: int
    rejects_unknown: int

    def _sum(self, name: str) -> int:
        return sum(getattr(stratum, name) for stratum in self.strata)

    @property
    def passes(self) -> int:
        return self._sum("passes")

    @property
    def drawn(self) -> int:
        return self._sum("drawn")

    @property
    def judged(self) -> int:
        return self._sum("judged")

    @property
    def bad(self) -> int:
        return self._sum("bad")

    @property
    def tied(self) -> int:
        return self._sum("tied")

    @property
    def unjudged(self) -> int:
        return self._sum("unjudged")

    @property
    def open(self) -> int:
        return self._sum("open")

    @property
    def uncovered(self) -> int:
        return sum(stratum.passes for stratum in self.strata if not stratum.is_covered)

    @property
    def lacks(self) -> str:
        """Why nothing is estimated; empty where it is."""
        if not self.passes:
            return "No automatic pass of this period was open to an audit. The audit share is set at the review desk."
        if self.estimate is None:
            return f"Too few: {self.judged} of {FEWEST} judged audits needed."
        return ""

    @property
    def rate_text(self) -> str:
        return (
            f"{self.estimate.per_million[0]:,.0f}"
            if self.estimate
            else "too few"
            if self.drawn
            else "not known"
        )

    @property
    def rate_bound(self) -> str:
        if self.estimate is None:
            return self.lacks
        _, lower, upper = self.estimate.per_million
        return (
            f"{self.bad} of {self.judged} judged audits bad · 95 %: {lower:,.0f} to {upper:,.0f} per million"
        )

    @property
    def number_text(self) -> str:
        return (
            f"{self.estimate.bad_passes:.0f}" if self.estimate else "too few" if self.drawn else "not known"
        )

    @property
    def number_bound(self) -> str:
        if self.estimate is None:
            return self.lacks
        return (
            f"of {self.estimate.passes} passes · 95 %: {self.estimate.lower:.0f} to {self.estimate.upper:.0f}"
        )

    @property
    def underkill(self) -> tuple[float, float, float, float] | None:
        """Bad parts passed / all bad parts: if every reject of unknown truth was bad, if none was; lower, upper.

        None without an estimate, and where no bad part is known, neither passed nor stopped.
        """
        if self.estimate is None or not (self.bad or self.bad_stopped):
            return None
        low = self.estimate.underkill(bad_stopped=self.bad_stopped + self.rejects_unknown)
        high = self.estimate.underkill(bad_stopped=self.bad_stopped)
        return low[0], high[0], low[1], high[2]

    @property
    def underkill_text(self) -> str:
        if self.underkill is None:
            return "too few" if self.drawn and self.estimate is None else "not known"
        low, high, _, _ = self.underkill
        return percent(low) if percent(low) == percent(high) else f"{percent(low)} to {percent(high)}"

    @property
    def underkill_bound(self) -> str:
        if self.underkill is None:
            return self.lacks or "No bad part is known, neither passed nor stopped."
        known = f"beside {self.bad_stopped} bad parts that were stopped"
        if self.rejects_unknown:
            known += f", and {self.rejects_unknown} rejects of unknown truth: all bad, or none"
        return f"{known} · 95 %: {percent(self.underkill[2])} to {percent(self.underkill[3])}"

    @property
    def hidden(self) -> str:
        """What those that nobody judged may hide."""
        if not self.drawn or self.drawn == self.judged:
            return ""
        told = [
            f"{n} {words}"
            for n, words in (
                (self.tied, "wait for the expert because an inspector did not pass them"),
                (self.unjudged, "were judged by nobody in time"),
                (self.open, "are on their way"),
            )
            if n
        ]
        sentence = f"Of {self.drawn} drawn passes {' and '.join([', '.join(told[:-1]), told[-1]] if told[1:] else told)}."
        if self.worst is None or self.estimate is None:
            return sentence
        like = "They are taken to be like the judged ones"
        if self.tied:
            like += ", which those that wait for the expert may well not be"
        return (
            f"{sentence} {like}. Were all of them bad, it would be "
            f"{self.worst.per_million[0]:,.0f} per million (up to {self.worst.per_million[2]:,.0f})."
        )


def audits_by_line(lines: list[Line], *, since: datetime, until: datetime) -> dict[str, AuditReport]:
    """One report a line, and over all under `ALL_LINES`, for parts triggered in the period; always five queries."""
    shares = _shares(lines)
    passes, never_drawn = _passes(lines, shares, since, until)
    strata = _with_audits(passes, _audits(lines, since, until))
    cells = cross_table(Part.objects.filter(line__in=lines, triggered_at__gte=since, triggered_at__lt=until))
    return {
        code: _report(
            [stratum for stratum in strata if code in {ALL_LINES, stratum.line}],
            sum(n for line, n in never_drawn.items() if code in {ALL_LINES, line}),
            [cell for cell in cells if code in {ALL_LINES, cell.line}],
        )
        for code in (ALL_LINES, *(line.code for line in lines))
    }


def escapes_in(lines: list[Line], *, since: datetime, until: datetime) -> list[Case]:
    """Confirmed underkill among the parts of the period: found by an audit or flagged on the floor, and ruled bad."""
    found = confirmed_escapes(frozenset(line.code for line in lines))
    return list(found.filter(part__triggered_at__gte=since, part__triggered_at__lt=until)[:MOST_ESCAPES])


# --- who had which chance ---------------------------------------------------------------------------------
def _shares(lines: list[Line]) -> dict[tuple[str, float], Q]:
    """(line, share) -> the passes that were drawn from with it.

    The sweeper draws from a pass once, with the share then in force; while the share is 0 it waits, and passes of
    that time are drawn from with the next share. Passes from before the first share never had a chance.
    """
    codes = {line.pk: line.code for line in lines}
    seen_to = dict(AuditDraw.objects.filter(line__in=lines).values_list("line", "seen_to"))
    revisions: dict[int, list[tuple[datetime, float]]] = defaultdict(list)
    rows = ReviewPolicy.objects.filter(line__in=lines).order_by("line", "number")
    for line_id, set_at, share in rows.values_list("line", "set_at", "audit_share"):
        revisions[line_id].append((set_at, share))
    found: dict[tuple[str, float], Q] = {}
    for line_id, of_line in revisions.items():
        started = next((place for place, (_, share) in enumerate(of_line) if share), None)
        if started is None or line_id not in seen_to:
            continue
        begins = of_line[started][0]
        drawing = [(at, share) for at, share in of_line[started:]]
        for place, (at, share) in enumerate(drawing):
            ends = drawing[place + 1][0] if place + 1 < len(drawing) else None
            if not share and ends is None:
                break
            if share:
                inside = Q(part__line=line_id, decided_at__gte=begins, pk__lte=seen_to[line_id])
                inside &= Q(decided_at__lt=ends) if ends else Q()
                key = (codes[line_id], share)
                found[key] = found[key] | inside if key in found else inside
                begins = ends or at
    return found


def _passes(
    lines: list[Line], shares: dict[tuple[str, float], Q], since: datetime, until: datetime
) -> tuple[list[Stratum], Counter[str]]:
    """Strata with their passes, and how many passes of each line belong to none."""
    found = Disposition.objects.filter(
        is_final=True,
        outcome=Outcome.PASS,
        source=Source.MODEL,
        part__line__in=lines,
        part__triggered_at__gte=since,
        part__triggered_at__lt=until,
    )
    keys = list(shares)
    counts = {f"n{place}": Count("pk", filter=shares[key]) for place, key in enumerate(keys)}
    by_line = found.values_list("part__line__code").annotate(count=Count("pk"), **counts).order_by()
    strata, never_drawn = [], Counter[str]()
    for code, count, *inside in by_line:
        never_drawn[code] = count - sum(inside)
        strata += [
            Stratum(code, share, n) for (line, share), n in zip(keys, inside, strict=True) if line == code
        ]
    return strata, never_drawn


def _audits(lines: list[Line], since: datetime, until: datetime) -> dict[tuple[str, float], Counter[str]]:
    """(line, share) -> what became of the passes that were drawn."""
    rows = (
        Case.objects.filter(
            kind=CaseKind.AUDIT,
            part__line__in=lines,
            part__triggered_at__gte=since,
            part__triggered_at__lt=until,
        )
        .values_list("part__line__code", "draw_share", "state", "closed_by", "ruling__grade")
        .annotate(count=Count("pk"))
        .order_by()
    )
    found: dict[tuple[str, float], Counter[str]] = defaultdict(Counter)
    for line, share, state, closed_by, grade, count in rows:
        found[line, share or 0.0][_what_became(state, closed_by, grade)] += count
    return found


def _what_became(state: str, closed_by: str, grade: str | None) -> str:
    if grade:
        return BAD if grade == Grade.BAD else GOOD
    if state == CaseState.CLOSED:
        # Anything but PASS ties, so a verdict that closed an audit said PASS.
        return GOOD if closed_by == ClosedBy.VERDICT else UNJUDGED
    return TIED if state == CaseState.TIED else OPEN


def _with_audits(strata: list[Stratum], audits: dict[tuple[str, float], Counter[str]]) -> list[Stratum]:
    known = {(stratum.line, stratum.share): stratum for stratum in strata}
    for key, became in audits.items():
        stratum = known.get(key, Stratum(*key, passes=0))
        # A pass decided in the second of a change may count to the other share; it was drawn with this one.
        passes = max(stratum.passes, became.total())
        known[key] = Stratum(
            *key, passes, became[GOOD], became[BAD], became[TIED], became[UNJUDGED], became[OPEN]
        )
    return list(known.values())


# --- what it says -----------------------------------------------------------------------------------------
def _report(strata: list[Stratum], never_drawn: int, cells: list[Cell]) -> AuditReport:
    covered = [stratum for stratum in strata if stratum.is_covered]
    tells = sum(stratum.judged for stratum in covered) >= FEWEST
    return AuditReport(
        strata=tuple(strata),
        never_drawn=never_drawn,
        estimate=escapes([stratum.as_judged for stratum in covered]) if tells else None,
        worst=escapes([stratum.at_worst for stratum in covered]) if tells else None,
        looks_drawn_as_said=_looks_drawn_as_said(strata),
        bad_stopped=_parts(cell for cell in cells if cell.truth == Grade.BAD and not _passed_alone(cell)),
        rejects_unknown=_parts(cell for cell in cells if not cell.truth and cell.outcome == Outcome.REJECT),
    )


def _looks_drawn_as_said(strata: list[Stratum]) -> bool:
    drawn = [
        AuditedPasses(each.line, each.passes, each.share, each.drawn, 0) for each in strata if each.passes
    ]
    return all(draw_p(each) >= UNLIKELY for each in drawn)


def _passed_alone(cell: Cell) -> bool:
    return cell.outcome == Outcome.PASS and cell.source == Source.MODEL


def _parts(cells: Iterable[Cell]) -> int:
    return sum(cell.parts for cell in cells)
