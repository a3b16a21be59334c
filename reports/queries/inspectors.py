"""Each inspector: what the probes say of their eyes, how they change their mind, tire, and handle the real part."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import Case, F, When

from inspection.models import Line
from metrics.cusum import run_cusum
from metrics.probes import Estimate, probe_record
from metrics.rates import Rate
from reports.figures import FEWEST, RateFigure, SpreadFigure, ValueFigure
from review.models import Verdict, Watch
from review.shifts import watch_chart
from review.states import CaseKind, ClosedBy, Grade, Handling, VerdictWord

SHOWN_PROBES = 60
BIN_MIN = 5
LAST_BIN_MIN = 30  # from here on everything is one bin


class Said(NamedTuple):
    """One standing verdict that was carried out.

    tied   the ruling on a tie; one that corrects a verdict is there because that verdict was wrong, and would tell
           of wrong verdicts alone
    truth  the probe's grade, else the ruling on a tie, else what is known from elsewhere
    """

    person: int
    name: str
    line: str
    kind: str
    verdict: str
    first_verdict: str
    defect_type: str
    handling: str
    seen_ms: int | None
    active_ms: int | None
    given_at: datetime
    leased_at: datetime | None
    probe_grade: str | None
    probe_defect: str | None
    tied: str | None
    known: str | None

    @property
    def truth(self) -> str:
        return (self.probe_grade or self.tied or self.known or "").lower()

    @property
    def is_judged_probe(self) -> bool:
        """CANNOT_TELL is no judgement."""
        return self.probe_grade is not None and self.verdict != VerdictWord.CANNOT_TELL

    @property
    def is_slip(self) -> bool:
        return self.is_judged_probe and not _is_right(self.verdict, self.probe_grade or "")

    @property
    def took_ms(self) -> float | None:
        """How long the part was on the screen; where the screen did not tell, how long it was leased."""
        if self.seen_ms is not None:
            return float(self.seen_ms)
        return (self.given_at - self.leased_at).total_seconds() * 1000 if self.leased_at else None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a set of verdicts says, whoever gave them."""

    verdicts: int
    probes: int
    underkill: RateFigure
    overkill: RateFigure
    skill: ValueFigure
    leaning: ValueFigure
    cannot_tell: RateFigure
    handling: RateFigure
    decision_time: SpreadFigure
    changed: RateFigure
    toward: int
    away: int
    unknown_change: int


@dataclass(frozen=True, slots=True)
class Path:
    """The newest probes through the chart that puts an inspector on watch: steps after each, alarms by place."""

    steps: tuple[int, ...]
    alarms: tuple[int, ...]
    now: int
    limit: int
    probes: int


@dataclass(frozen=True, slots=True)
class Inspector:
    person: int
    name: str
    figures: Figures
    path: Path
    watch: Watch | None
    lifted: tuple[Watch, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """One row of a table: a bin of active time, a line, a defect type."""

    key: str
    label: str
    figures: tuple[RateFigure, ...]


@dataclass(frozen=True, slots=True)
class InspectorsReport:
    """chosen  the inspector whom the shares and `together` are about; None for all together"""

    inspectors: list[Inspector]
    chosen: Inspector | None
    together: Figures
    slips: list[Share]
    by_line: list[Share]
    by_defect_type: list[Share]
    by_handling: list[tuple[str, int]]


# --- rows -------------------------------------------------------------------------------------------------
def inspectors_report(
    lines: list[Line], *, since: datetime, until: datetime, chosen: str = ""
) -> InspectorsReport:
    """What people said on these lines in the period; always three queries.

    chosen  user name of one inspector; anybody else's verdicts then count only in the list of inspectors
    """
    said = _said(lines, since, until)
    by_person: dict[int, list[Said]] = defaultdict(list)
    for each in said:
        by_person[each.person].append(each)
    watches, paths = _watches(by_person), _paths(by_person)
    inspectors = [
        _inspector(person, own, watches[person], paths[person]) for person, own in by_person.items()
    ]
    inspectors.sort(key=lambda each: (each.watch is None, each.name))
    one = next((each for each in inspectors if each.name == chosen), None)
    about = by_person[one.person] if one else said
    return InspectorsReport(
        inspectors=inspectors,
        chosen=one,
        together=_figures(about),
        slips=_slips(about),
        by_line=[_line_share(line, [each for each in about if each.line == line.code]) for line in lines],
        by_defect_type=_defect_shares(about),
        by_handling=[
            (str(way.label), sum(each.handling == way for each in about if each.kind == CaseKind.HELD))
            for way in Handling
        ],
    )


def _said(lines: list[Line], since: datetime, until: datetime) -> list[Said]:
    rows = (
        Verdict.objects.filter(
            case__shown_part__line__in=lines,
            given_at__gte=since,
            given_at__lt=until,
            undone_at=None,
            committed_at__isnull=False,
        )
        .annotate(
            tied=Case(When(case__closed_by=ClosedBy.RULING, then=F("case__ruling__grade")), default=None)
        )
        .order_by("given_at", "id")
        .values_list(
            "person_id", "person__username", "case__shown_part__line__code", "case__kind", "verdict",
            "first_verdict", "defect_type", "handling", "seen_ms", "active_ms", "given_at", "leased_at",
            "case__probe__grade", "case__probe__defect_type", "tied",
            "case__part__known_truth__grade",
        )
    )  # fmt: skip
    return [Said(*row) for row in rows]


def _watches(people: Iterable[int]) -> dict[int, list[Watch]]:
    """Every watch of these people, oldest first."""
    found: dict[int, list[Watch]] = defaultdict(list)
    for watch in Watch.objects.filter(person__in=list(people)).select_related("cleared_by").order_by("since"):
        found[watch.person_id].append(watch)
    return found


def _inspector(
    person: int, own: list[Said], watches: list[Watch], erred: list[tuple[datetime, bool]]
) -> Inspector:
    standing = next((watch for watch in watches if watch.cleared_at is None), None)
    lifted = tuple(watch for watch in watches if watch.cleared_at is not None)
    return Inspector(person, own[0].name, _figures(own), _path(erred, watches), standing, lifted)


# --- figures ----------------------------------------------------------------------------------------------
def _figures(said: list[Said]) -> Figures:
    probes = [each for each in said if each.is_judged_probe]
    bad = [each for each in probes if each.probe_grade == Grade.BAD]
    good = [each for each in probes if each.probe_grade == Grade.GOOD]
    record = probe_record(
        bad_passed=sum(each.is_slip for each in bad),
        bad_judged=len(bad),
        good_rejected=sum(each.is_slip for each in good),
        good_judged=len(good),
    )
    least = min(len(bad), len(good))
    blind = [each for each in said if each.first_verdict]
    changed = [each for each in blind if each.first_verdict != each.verdict]
    ways = Counter(_way_of(each) for each in changed)
    return Figures(
        verdicts=len(said),
        probes=sum(each.probe_grade is not None for each in said),
        underkill=underkill(record.underkill),
        overkill=overkill(record.overkill),
        skill=_estimate("skill", "Skill (d')", record.skill, least),
        leaning=_estimate("leaning", "Leaning (c)", record.leaning, least),
        cannot_tell=_share(
            "cannot_tell", "Cannot tell", said, lambda each: each.verdict == VerdictWord.CANNOT_TELL,
            "verdicts gave no answer",
        ),
        handling=_handling(said),
        decision_time=SpreadFigure.of(
            "decision_time", "Decision time", [each.took_ms for each in said if each.took_ms is not None],
            high=95, nothing="No time was told.",
        ),
        changed=_share(
            "changed", "Changed opinions", blind, lambda each: each.first_verdict != each.verdict,
            "blind opinions were changed", nothing="No blind opinion: the line does not ask for one.",
        ),
        toward=ways["toward"],
        away=ways["away"],
        unknown_change=ways["unknown"],
    )  # fmt: skip


def underkill(rate: Rate) -> RateFigure:
    return RateFigure("underkill", "Underkill", rate, "bad probes passed", "No bad probe judged.", FEWEST)


def overkill(rate: Rate) -> RateFigure:
    return RateFigure("overkill", "Overkill", rate, "good probes rejected", "No good probe judged.", FEWEST)


def _handling(said: list[Said]) -> RateFigure:
    """Of real parts alone: nobody can tilt a probe, whose part left long ago."""
    held = [each for each in said if each.kind == CaseKind.HELD]
    return _share(
        "handling", "Needed handling", held, lambda each: bool(each.handling),
        "verdicts on held parts needed the part in hand", nothing="No held part judged.",
    )  # fmt: skip


def _share(
    name: str,
    label: str,
    said: list[Said],
    does: Callable[[Said], bool],
    words: str,
    *,
    nothing: str = "No verdict.",
) -> RateFigure:
    return RateFigure(name, label, Rate.of(sum(map(does, said)), len(said)), words, nothing, FEWEST)


def _estimate(name: str, label: str, estimate: Estimate | None, least: int) -> ValueFigure:
    """Skill and leaning need both grades; n is the number of probes of the rarer one."""
    value, lower, upper = (estimate.value, estimate.lower, estimate.upper) if estimate else (None, 0.0, 0.0)
    return ValueFigure(
        name, label, value, lower, upper, least, "or more of each grade",
        "It takes probes of both grades.", FEWEST // 2,
    )  # fmt: skip


def _way_of(each: Said) -> str:
    """Whether a changed opinion went toward the truth; CANNOT_TELL is neither right nor wrong."""
    if not each.truth or VerdictWord.CANNOT_TELL in {each.verdict, each.first_verdict}:
        return "unknown"
    return "toward" if _is_right(each.verdict, each.truth) else "away"


def _is_right(verdict: str, grade: str) -> bool:
    return (verdict == VerdictWord.PASS) == (grade == Grade.GOOD)


# --- shares -----------------------------------------------------------------------------------------------
def _slips(said: list[Said]) -> list[Share]:
    """Probes misjudged by the active time without a break at that moment."""
    probes = [each for each in said if each.is_judged_probe and each.active_ms is not None]
    shares = []
    for start in range(0, LAST_BIN_MIN + 1, BIN_MIN):
        is_last = start == LAST_BIN_MIN
        end = float("inf") if is_last else start + BIN_MIN
        inside = [each for each in probes if start <= (each.active_ms or 0) / 60_000 < end]
        label = f"{start} min and more" if is_last else f"{start} to {start + BIN_MIN} min"
        figure = _share(
            "slips",
            "Slips",
            inside,
            lambda each: each.is_slip,
            "probes misjudged",
            nothing="No probe judged.",
        )
        shares.append(Share(f"{start}+" if is_last else f"{start} to {start + BIN_MIN}", label, (figure,)))
    return shares


def _line_share(line: Line, said: list[Said]) -> Share:
    figures = _figures(said)
    return Share(line.code, line.name, (figures.underkill, figures.overkill, figures.handling))


def _defect_shares(said: list[Said]) -> list[Share]:
    """Bad probes passed by the probe's defect type, and handling by the type that the inspector named."""
    bad: dict[str, list[Said]] = defaultdict(list)
    named: dict[str, list[Said]] = defaultdict(list)
    for each in said:
        if each.is_judged_probe and each.probe_grade == Grade.BAD:
            bad[each.probe_defect or ""].append(each)
        if each.defect_type:
            named[each.defect_type].append(each)
    return [
        Share(
            kind,
            kind or "no type",
            (
                underkill(Rate.of(sum(each.is_slip for each in bad[kind]), len(bad[kind]))),
                _handling(named[kind] if kind else []),
            ),
        )
        for kind in sorted(set(bad) | set(named))
    ]


# --- the chart --------------------------------------------------------------------------------------------
def _paths(people: Iterable[int]) -> dict[int, list[tuple[datetime, bool]]]:
    """Every judged probe of these people on all lines and since ever, oldest first, and whether it was misjudged."""
    rows = (
        Verdict.objects.filter(
            person__in=list(people), case__kind=CaseKind.PROBE, undone_at=None, committed_at__isnull=False
        )
        .exclude(verdict=VerdictWord.CANNOT_TELL)
        .order_by("given_at", "id")
        .values_list("person_id", "given_at", "verdict", "case__probe__grade")
    )
    found: dict[int, list[tuple[datetime, bool]]] = defaultdict(list)
    for person, given_at, verdict, grade in rows:
        found[person].append((given_at, not _is_right(verdict, grade)))
    return found


def _path(erred: list[tuple[datetime, bool]], watches: list[Watch]) -> Path:
    """The chart begins anew where a watch began, and where it was lifted."""
    resets = sorted({at for watch in watches for at in (watch.since, watch.cleared_at) if at is not None})
    steps: list[int] = []
    alarms: list[int] = []
    now = 0
    for start, end in zip([None, *resets], [*resets, None], strict=True):
        stretch = [
            error
            for given_at, error in erred
            if (start is None or given_at > start) and (end is None or given_at <= end)
        ]
        path = run_cusum(watch_chart(), stretch)
        alarms.extend(len(steps) + place for place in path.alarms)
        steps.extend(path.steps)
        now = path.now
    hidden = max(0, len(steps) - SHOWN_PROBES)
    return Path(
        tuple(steps[hidden:]),
        tuple(place - hidden for place in alarms if place >= hidden),
        now,
        watch_chart().limit,
        len(erred),
    )
