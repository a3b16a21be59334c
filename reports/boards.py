"""What the pages show, as their templates expect it: the line's board, the home cards, the stations."""

from datetime import datetime
from typing import Any

from django.db.models import Max
from django.urls import reverse

from accounts.models import Person
from inspection.models import Line, Part, Station
from inspection.queries import active_golden, newest_parts
from inspection.states import Mode, Outcome, PartState
from plc.models import Delivery, Mailbox
from plc.queries import Health, ack_times, link_health, links_of
from plc.states import OPEN_DELIVERY_STATES, MailboxKind
from reports.figures import duration
from reports.queries.line import FAULT, HOUR, WARN, Alert, alerts, line_figures, minutes
from reports.queries.records import Record, records

NEWEST = 20
FEWEST_MINUTES = 10
TONES = {
    Outcome.PASS: ("Passed", "pass"),
    Outcome.REJECT: ("Rejected", "reject"),
    Outcome.HOLD: ("Held", "hold"),
}


# --- /line/ -----------------------------------------------------------------------------------------------
def line_board(line: Line, now: datetime) -> dict[str, Any]:
    figures, open_alerts = line_figures(line, now), alerts(line, now)
    newest = records(newest_parts(line, NEWEST))
    return {
        "line": line,
        "figures": figures,
        "oldest_hold_at": Part.objects.filter(line=line, state=PartState.HELD)
        .order_by("held_at")
        .values_list("held_at", flat=True)
        .first(),
        "line_state": _line_state(line, open_alerts, newest, now),
        "plc": _plc_tile(line, now),
        "alerts": open_alerts,
        "last_images": [shot(record) for record in newest],
        "chart": _chart(minutes(line, now)),
    }


def shot(record: Record) -> dict[str, Any]:
    """One picture of a part with its outcome."""
    part = record.part
    return {
        "part": part,
        "url": reverse("part", args=[part.pk]),
        "image_url": image_url(record),
        "outcome": record.outcome_word or "open",
        "label": record.outcome_word or str(PartState(part.state).label),
        "score": record.inspection.score if record.inspection else None,
    }


def image_url(record: Record) -> str | None:
    image = record.image
    return f"{reverse('part_image', args=[record.part.pk])}?view={image.view}" if image else None


def map_url(record: Record) -> str | None:
    look = record.inspection
    return reverse("part_map", args=[record.part.pk]) if look and look.map_file else None


def _line_state(line: Line, open_alerts: list[Alert], newest: list[Record], now: datetime) -> dict[str, str]:
    faults = [alert for alert in open_alerts if alert.outcome == FAULT]
    mode = (
        "Two-tier: people judge grey parts"
        if line.mode == Mode.TWO_TIER
        else "Automatic: grey parts are rejected"
    )
    if faults:
        return {"outcome": FAULT, "word": "Needs you", "detail": faults[0].title}
    if not newest:
        return {"outcome": WARN, "word": "Waiting", "detail": "No part has come yet."}
    quiet_ms = (now - newest[0].part.triggered_at).total_seconds() * 1000
    if quiet_ms > 60_000:
        return {"outcome": WARN, "word": "Standing", "detail": f"No trigger for {duration(quiet_ms)}."}
    return {
        "outcome": WARN if open_alerts else "ok",
        "word": "Running",
        "detail": open_alerts[0].title if open_alerts else f"{line.name}. {mode}.",
    }


LINK_OUTCOMES = {"up": ("ok", "Connected"), "late": (WARN, "Late"), "down": (FAULT, "Down")}


def _plc_tile(line: Line, now: datetime) -> dict[str, Any]:
    healths = [link_health(link, now) for link in links_of(line)]
    worst = max(healths, key=lambda health: list(LINK_OUTCOMES).index(health.word), default=None)
    outcome, word = LINK_OUTCOMES[worst.word] if worst else (WARN, "None")
    acks = ack_times(since=now - HOUR, until=now, line=line, kind=MailboxKind.AUTOMATIC)
    middle = sorted(acks)[len(acks) // 2] if acks else None
    return {
        "outcome": outcome,
        "word": word,
        "detail": _plc_detail(worst, middle, len(acks)),
        "undelivered": Delivery.objects.filter(
            mailbox__station__line=line, state__in=OPEN_DELIVERY_STATES
        ).count(),
    }


def _plc_detail(health: Health | None, middle_ms: float | None, n: int) -> str:
    if health is None:
        return "No PLC is set up for this line."
    if not health.is_up:
        return health.sentence
    if middle_ms is None:
        return "No ack in the last hour."
    return f"Trigger to ack {duration(middle_ms)} (median of {n})"


def _chart(series: dict[str, list[int]]) -> dict[str, Any]:
    """The last hour, but of a line that just started no more than the minutes it ran (and ten at least)."""
    busy = [
        index for index in range(len(series["times"])) if any(series[outcome][index] for outcome in TONES)
    ]
    first = min(busy[0] if busy else 0, len(series["times"]) - FEWEST_MINUTES)
    return {
        "times": series["times"][first:],
        "unit": "parts/min",
        "series": [
            {"name": name, "tone": tone, "values": series[outcome][first:]}
            for outcome, (name, tone) in TONES.items()
        ],
    }


# --- /stations/ -------------------------------------------------------------------------------------------
def stations(lines: list[Line], now: datetime, person: Person) -> list[dict[str, Any]]:
    rows = Station.objects.filter(line__in=lines).select_related("line", "line__part_type").order_by("code")
    frames = dict(
        Part.objects.filter(station__in=rows)
        .values_list("station")
        .annotate(last=Max("captured_at"))
        .order_by()
    )
    mailboxes: dict[int, list[Mailbox]] = {}
    for mailbox in Mailbox.objects.filter(station__in=rows).select_related("link").order_by("kind"):
        mailboxes.setdefault(mailbox.station_id, []).append(mailbox)
    return [_station(row, mailboxes.get(row.pk, []), frames.get(row.pk), now, person) for row in rows]


def _station(
    station: Station, boxes: list[Mailbox], last_frame_at: datetime | None, now: datetime, person: Person
) -> dict[str, Any]:
    golden = active_golden(station.line)
    link = boxes[0].link if boxes else None
    health = link_health(link, now) if link else None
    outcome, word = LINK_OUTCOMES[health.word] if health else (WARN, "Not set up")
    ready = golden is not None and health is not None and health.is_up
    is_fresh = last_frame_at is not None and now - last_frame_at < HOUR
    return {
        "name": f"{station.code} · {station.name}",
        "line": station.line.name,
        "part_type": station.line.part_type.name,
        "mode": Mode(station.line.mode).label,
        "state": {"outcome": "ok", "word": "Ready"} if ready else {"outcome": FAULT, "word": "Not ready"},
        "camera": {
            "name": station.camera.get("name", ""),
            "source": station.camera.get("source", "Images come by POST /api/v1/captures/ or from a folder."),
            "last_frame_at": last_frame_at,
            "outcome": "ok" if is_fresh else WARN,
            "word": "Sending" if is_fresh else "Silent for 1 h",
        },
        "plc": {
            "name": link.code if link else "",
            "address": f"{link.host}:{link.port}" if link else "",
            "protocol": link.get_driver_display() if link else "",
            "mailbox": " and ".join(f"VIS_{box.code}_" for box in boxes) or "none",
            "sentence": health.sentence if health else "No PLC is set up for this station.",
            "heartbeat_at": link.plc_hb_at if link else None,
            "outcome": outcome,
            "word": word,
        },
        "golden": golden,
        "sop_revision": golden.sop_revision if golden else None,
        "admin_url": reverse("admin:inspection_line_change", args=[station.line_id])
        if person.is_staff
        else None,
    }
