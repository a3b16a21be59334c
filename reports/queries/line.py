"""The operator's line page: figures of the last hour, the newest parts, and what needs a person."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q
from django.db.models.functions import TruncMinute
from django.urls import reverse

from inspection.models import Disposition, Line, Part
from inspection.queries import REFUSED, active_golden, newest_word_on
from inspection.states import Mode, Outcome, PartState, Reason, Source
from metrics.rates import Rate
from plc.models import Delivery
from plc.queries import Alarm, links_of, open_alarms
from plc.states import OPEN_DELIVERY_STATES
from reports.figures import RateFigure
from reports.queries.invariants import GRACE
from reports.queries.pulse import inspect_worker_is_heard
from review.models import Case
from review.states import CaseKind, CaseState

HOUR = timedelta(hours=1)
CHART_MINUTES = 60
NEAR_DEADLINE_SHARE = 0.25  # less than this share of the review time left
BACKLOG_S = 10
FAULT, WARN = "fault", "warn"
PROBLEM_REASONS = [
    Reason.NO_IMAGE,
    Reason.UNREADABLE_IMAGE,
    Reason.CHANGED_IMAGE,
    Reason.NO_MODEL,
    Reason.WRONG_MODEL,
    Reason.NON_FINITE_SCORE,
    Reason.INSPECTION_FAILED,
    Reason.INSPECTION_LATE,
    Reason.UNFIT_IMAGE,
]


@dataclass(frozen=True, slots=True)
class LineFigures:
    parts_last_hour: int
    parts_last_minute: int
    held_now: int
    reject_rate: RateFigure
    review_rate: RateFigure


def line_figures(line: Line, now: datetime) -> LineFigures:
    triggered = Part.objects.filter(line=line, triggered_at__gt=now - HOUR).aggregate(
        hour=Count("pk"), minute=Count("pk", filter=Q(triggered_at__gt=now - timedelta(minutes=1)))
    )
    decided = Disposition.objects.filter(part__line=line, decided_at__gt=now - HOUR).aggregate(
        final=Count("pk", filter=Q(is_final=True)),
        rejected=Count("pk", filter=Q(is_final=True, outcome=Outcome.REJECT)),
        # A part that was held and disposed in the same hour has two rows and is one part.
        parts=Count("part", distinct=True),
        held=Count("pk", filter=Q(outcome=Outcome.HOLD)),
    )
    return LineFigures(
        parts_last_hour=triggered["hour"],
        parts_last_minute=triggered["minute"],
        held_now=Part.objects.filter(line=line, state=PartState.HELD).count(),
        reject_rate=RateFigure(
            "reject_rate",
            "Reject rate",
            Rate.of(decided["rejected"], decided["final"]),
            "decided parts rejected in the last hour",
            "No part was decided in the last hour.",
        ),
        review_rate=RateFigure(
            "review_rate",
            "Review rate",
            Rate.of(decided["held"], decided["parts"]),
            "decided parts held for a person in the last hour",
            "No part was decided in the last hour.",
        ),
    )


def minutes(line: Line, now: datetime) -> dict[str, list[int]]:
    """Dispositions per minute of the last hour, oldest minute first, gaps as 0; times in epoch seconds.

    A corrected part counts once, where its correction was made.
    """
    first = now.replace(second=0, microsecond=0) - timedelta(minutes=CHART_MINUTES - 1)
    rows = (
        Disposition.objects.filter(part__line=line, decided_at__gte=first, superseded_at=None)
        .annotate(minute=TruncMinute("decided_at"))
        .values_list("minute", "outcome")
        .annotate(count=Count("pk"))
        .order_by()
    )
    counted = Counter({(int(minute.timestamp()), outcome): count for minute, outcome, count in rows})
    times = [int(first.timestamp()) + 60 * index for index in range(CHART_MINUTES)]
    return {"times": times, **{str(outcome): [counted[at, outcome] for at in times] for outcome in Outcome}}


# --- what needs a person ----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that needs a person; `noted_url` takes the POST "I have seen this" where that ends it."""

    outcome: str
    title: str
    text: str
    url: str = ""
    since: datetime | None = None
    noted_url: str = ""


def alerts(line: Line, now: datetime) -> list[Alert]:
    """What is wrong now, the worst first; empty if all is well."""
    found = [
        *_worker_alerts(),
        *_golden_alerts(line),
        *_plc_alerts(line, now),
        *_delivery_alerts(line, now),
        *_overflow_alerts(line),
        *_case_alerts(line, now),
        *_part_alerts(line, now),
    ]
    return sorted(found, key=lambda alert: alert.outcome != FAULT)


def _worker_alerts() -> list[Alert]:
    if inspect_worker_is_heard():
        return []
    return [
        Alert(
            FAULT,
            "The inspect worker is silent",
            "New parts are not scored. After their time they are held or rejected, never passed.",
        )
    ]


def _golden_alerts(line: Line) -> list[Alert]:
    golden = active_golden(line)
    if golden:
        word = newest_word_on(golden)
        if word is None or word.verb != REFUSED:
            return []
        return [
            Alert(
                FAULT,
                f"The inspect worker refuses {golden}",
                f"{word.details.get('problem', '')} Parts are held or rejected until another configuration is active.",
                reverse("golden"),
                word.at,
            )
        ]
    return [
        Alert(
            FAULT,
            "No active golden configuration",
            "Without one no part can pass by itself: every part goes to a person or is rejected.",
            reverse("golden"),
        )
    ]


def _plc_alerts(line: Line, now: datetime) -> list[Alert]:
    """Links that are not up, notices, refused deliveries; a line without a PLC says so."""
    if not links_of(line).exists():
        return [
            Alert(WARN, "No PLC is set up for this line", "Dispositions reach nobody.", reverse("stations"))
        ]
    return [
        Alert(
            FAULT,
            _refused(alarm.delivery) if alarm.delivery else f"{alarm.link.code} needs attention",
            alarm.sentence,
            reverse("part", args=[alarm.delivery.disposition.part_id])
            if alarm.delivery
            else reverse("stations"),
            alarm.since,
            _noted_url(alarm),
        )
        for alarm in open_alarms(line, now, most_refusals=3)
    ]


def _refused(delivery: Delivery) -> str:
    row = delivery.disposition
    what = "the correction to " if row.source == Source.CHANGED else ""
    return f"The PLC refused {what}{row.outcome}"


def _noted_url(alarm: Alarm) -> str:
    """A refusal and a notice stay until somebody has seen them; what is wrong right now ends by itself."""
    if alarm.delivery:
        return reverse("see_refusal", args=[alarm.delivery.pk])
    return reverse("reset_alarm", args=[alarm.link.code]) if alarm.sentence == alarm.link.notice else ""


def _delivery_alerts(line: Line, now: datetime) -> list[Alert]:
    waiting = Disposition.objects.filter(
        Q(delivery=None) | Q(delivery__state__in=OPEN_DELIVERY_STATES),
        part__line=line,
        decided_at__lt=now - timedelta(seconds=BACKLOG_S),
    ).aggregate(count=Count("pk"), oldest=Min("decided_at"))
    if not waiting["count"]:
        return []
    return [
        Alert(
            WARN,
            f"Not acknowledged by the PLC: {waiting['count']}",
            "These dispositions are sent in order as soon as the PLC answers.",
            "",
            waiting["oldest"],
        )
    ]


def _overflow_alerts(line: Line) -> list[Alert]:
    if line.overflow_since is None:
        return []
    return [
        Alert(
            FAULT,
            "Grey parts are rejected: people cannot keep up",
            "What would be held is rejected at once, never passed, until the queue can be judged in time. "
            "Call inspectors to the screens.",
            reverse("review"),
            line.overflow_since,
        )
    ]


def _case_alerts(line: Line, now: datetime) -> list[Alert]:
    near = now + timedelta(milliseconds=line.review_deadline_ms * NEAR_DEADLINE_SHARE)
    urgent = Case.objects.filter(
        part__line=line,
        kind=CaseKind.HELD,
        late_at=None,
        state__in=[CaseState.WAITING, CaseState.LEASED, CaseState.TIED],
        deadline_at__lt=near,
    ).aggregate(count=Count("pk"), first=Min("deadline_at"))
    if not urgent["count"]:
        return []
    left_s = max(0, int((urgent["first"] - now).total_seconds()))
    many = "1 held part is" if urgent["count"] == 1 else f"{urgent['count']} held parts are"
    return [
        Alert(
            WARN,
            f"{many} near the deadline",
            f"The first is rejected in {left_s} s if nobody decides. Call an inspector."
            if left_s
            else "The first is past it and is being rejected. Call an inspector for the others.",
            reverse("review"),
        )
    ]


def _part_alerts(line: Line, now: datetime) -> list[Alert]:
    stuck = (
        Part.objects.filter(line=line)
        .filter(
            Q(
                state=PartState.TRIGGERED,
                triggered_at__lt=now - timedelta(milliseconds=line.capture_deadline_ms) - GRACE,
            )
            | Q(
                state__in=[PartState.CAPTURED, PartState.INSPECTED],
                captured_at__lt=now - timedelta(milliseconds=line.inspect_deadline_ms) - GRACE,
            )
        )
        .aggregate(count=Count("pk"), oldest=Min("triggered_at"))
    )
    found = []
    if stuck["count"]:
        found.append(
            Alert(
                FAULT,
                f"Parts past their time: {stuck['count']}",
                "The sweeper should have held or rejected them. Check that it runs.",
                "",
                stuck["oldest"],
            )
        )
    problems = (
        Disposition.objects.filter(
            part__line=line, reason__in=PROBLEM_REASONS, decided_at__gt=now - timedelta(minutes=10)
        )
        .values_list("reason")
        .annotate(count=Count("pk"), last=Min("decided_at"))
        .order_by("-count")
    )
    held_or_rejected = "held for a person" if line.mode == Mode.TWO_TIER else "rejected"
    found.extend(
        Alert(
            WARN,
            f"{Reason(reason).label}: {count} in the last 10 min",
            f"These parts were {held_or_rejected}.",
            f"{reverse('parts')}?line={line.code}",
            first,
        )
        for reason, count, first in problems
    )
    return found
