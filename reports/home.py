"""The cards of a person's home: the pages of their roles, each with the figure that decides whether to go there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.urls import reverse

from accounts.models import Person, Role
from accounts.queries import line_codes, roles_of
from inspection.models import GoldenConfiguration, Line, Part, Station
from inspection.states import GoldenState, PartState
from labeling.models import Grade
from plc.models import PlcLink
from plc.queries import link_health
from reports.queries.line import FAULT, WARN, alerts
from reports.queries.management import reports_by_line
from reports.queries.parts import lines_of
from review.models import Watch
from review.queries import ties, waiting_cases
from training.models import Run
from training.states import RunState

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Card:
    url: str
    title: str
    text: str
    figure: str | None = None
    figure_label: str | None = None
    outcome: str | None = None


def cards_of(person: Person, now: datetime) -> list[Card]:
    """Cards of every role that the person holds, what waits for them first."""
    roles, lines = roles_of(person), lines_of(person)
    cards: list[Card] = []
    for wanted, make in CARDS:
        if roles & wanted:
            cards.extend(make(person, lines, now))
    return cards


def _review(person: Person, lines: list[Line], now: datetime) -> Iterator[Card]:
    waiting = waiting_cases(line_codes(person, Role.MANUAL_INSPECTOR, Role.QUALITY_EXPERT)).count()
    yield Card(
        reverse("review"),
        "Review",
        "Grey parts wait on HOLD until you say PASS or REJECT.",
        str(waiting),
        "waiting for a person" if waiting else "nobody waits",
        WARN if waiting else "ok",
    )


def _ties(person: Person, lines: list[Line], now: datetime) -> Iterator[Card]:
    tied = ties(line_codes(person, Role.QUALITY_EXPERT)).count()
    yield Card(
        reverse("ties"),
        "Ties",
        "Cases on which inspectors could not tell. Your ruling ends them.",
        str(tied),
        "waiting for your ruling" if tied else "none waits",
        WARN if tied else "ok",
    )


def _lines(person: Person, lines: list[Line], now: datetime) -> Iterator[Card]:
    for line in lines:
        found = alerts(line, now)
        worst = FAULT if any(alert.outcome == FAULT for alert in found) else WARN if found else "ok"
        parts = Part.objects.filter(line=line, triggered_at__gt=now - timedelta(hours=1)).count()
        yield Card(
            f"{reverse('line')}?line={line.code}",
            line.name,
            found[0].title if found else "Nothing needs a person.",
            str(parts),
            "parts an hour" if not found else f"parts an hour · {len(found)} to look at",
            worst,
        )


def _parts(person: Person, lines: list[Line], now: datetime) -> Iterator[Card]:
    on_the_way = Part.objects.filter(line__in=lines).exclude(state=PartState.DISPOSED).count()
    yield Card(
        reverse("parts"),
        "Parts",
        "Find a part by its serial and read its whole record.",
        str(on_the_way),
        "without a final disposition yet",
    )


def _labels(person: Person, lines: list[Line], now: datetime) -> Iterator[Card]:
    grades = Grade.objects.filter(part__line__in=lines)
    yield Card(
        reverse("labels"),
        "Labels",
        "Closed cases become grades, the truth that models learn from.",
        str(grades.count()),
        f"grades, {grades.filter(graded_at__gt=now - DAY).count()} in the last 24 hours",
    )


def _training(person: Person, lines: list[Line], now: datetime) -> Iterator[Card]:
    open_runs = Run.objects.filter(state__in=[RunState.QUEUED, RunState.RUNNING]).count()
    yield Card(
        reverse("training"),
        "Training",
        "Fit a candidate on a frozen dataset and see what it would change.",
        str(open_runs),
        "runs waiting or running" if open_runs else "no run is open",
    )


def _golden(person: Person, lines: list[Line], now: datetime) -> Iterator[Card]:
    active = GoldenConfiguration.objects.filter(state=GoldenState.ACTIVE, line__in=lines).count()
    yield Card(
        reverse("golden"),
        "Golden",
        "The locked model and thresholds under which parts pass.",
        f"{active}/{len(lines)}",
        "lines decide by a locked one",
        "ok" if active == len(lines) else FAULT,
    )


def _reports(person: Person, lines: list[Line], now: datetime) -> Iterator[Card]:
    reports = reports_by_line(lines, since=now - DAY, until=now)
    if not reports:
        return
    figure = reports[0].final_yield
    yield Card(
        reverse("reports"),
        "Reports",
        "Yield, review rate, underkill and overkill, each with its bound.",
        figure.text,
        f"yield in 24 h: {figure.short_bound}",
    )


def _inspectors(person: Person, lines: list[Line], now: datetime) -> Iterator[Card]:
    watched = Watch.objects.filter(cleared_at=None).count()
    yield Card(
        reverse("inspectors"),
        "Inspectors",
        "What probes say of each inspector, and whose cases go to a second person.",
        str(watched),
        "on watch: they misjudged too many probes" if watched else "nobody is on watch",
        WARN if watched else "ok",
    )


def _stations(person: Person, lines: list[Line], now: datetime) -> Iterator[Card]:
    links = PlcLink.objects.filter(mailboxes__station__line__in=lines).distinct()
    down = [link for link in links if not link_health(link, now).is_up]
    unserved = Station.objects.filter(line__in=lines).filter(Q(mailboxes=None)).count()
    yield Card(
        reverse("stations"),
        "Stations",
        "Cameras, PLC links and mailboxes as they are set up.",
        str(len(down) + unserved),
        "PLC links down or not set up" if down or unserved else "PLC links down: all answer",
        FAULT if down or unserved else "ok",
    )


_Make = Callable[[Person, list[Line], datetime], Iterator[Card]]
CARDS: tuple[tuple[frozenset[Role], _Make], ...] = (
    (frozenset({Role.MANUAL_INSPECTOR, Role.QUALITY_EXPERT}), _review),
    (frozenset({Role.QUALITY_EXPERT}), _ties),
    (frozenset(Role), _lines),
    (
        frozenset({Role.IMAGE_LABELER, Role.QUALITY_EXPERT, Role.VISION_DEVELOPER, Role.DATA_COLLECTOR}),
        _labels,
    ),
    (frozenset({Role.VISION_DEVELOPER, Role.QUALITY_EXPERT}), _training),
    (frozenset({Role.VISION_DEVELOPER, Role.QUALITY_EXPERT, Role.INTEGRATOR}), _golden),
    (frozenset({Role.MANAGER, Role.QUALITY_EXPERT, Role.VISION_DEVELOPER}), _reports),
    (frozenset({Role.MANAGER, Role.QUALITY_EXPERT}), _inspectors),
    (frozenset({Role.INTEGRATOR, Role.VISION_DEVELOPER}), _stations),
    (frozenset(Role), _parts),
)
