"""What one may ask about links and deliveries."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, QuerySet

from inspection.models import Disposition, Line, Part, Station
from inspection.states import Outcome, Source
from plc.handshake import HEARTBEAT_FROZEN_S
from plc.models import Delivery, Mailbox, PlcLink
from plc.states import OPEN_DELIVERY_STATES, DeliveryState, LinkState

LATE_AFTER = timedelta(seconds=1)
# What was seen of the PLC is written once a second, so a page may be this much behind.
WRITTEN_EVERY = timedelta(seconds=1)


# The columns that the PLC's words are made of; the gateway asks often, so it asks for no more.
WORDS = (
    "outcome",
    "superseded_at",
    "source",
    "reason",
    "part__plc_part_id",
    "part__trigger_seq",
    "part__station_id",
    "inspection__score",
    "inspection__golden__number",
)


# --- for the gateway ---------------------------------------------------------------------------------------
def link_by_code(code: str) -> PlcLink | None:
    return PlcLink.objects.filter(code=code).first()


def mailboxes_of(link_id: int) -> list[Mailbox]:
    """Automatic mailboxes before late ones, station by station."""
    return list(
        Mailbox.objects.select_related("station__line__part_type")
        .filter(link=link_id)
        .order_by("station_id", "kind")
    )


def undelivered_dispositions(link: PlcLink | None = None, *, after_id: int = 0) -> QuerySet[Disposition]:
    """Dispositions without a delivery, oldest first; `was_held` says that the part's HOLD came before.

    after_id  look only behind this id: the table grows for ever, what is undelivered lies at its end
    """
    held = Disposition.objects.filter(part=OuterRef("part"), outcome=Outcome.HOLD)
    rows = (
        Disposition.objects.filter(delivery=None, id__gt=after_id)
        .annotate(was_held=Exists(held))
        .select_related("part", "inspection__golden")
        .only(*WORDS)
        .order_by("id")
    )
    if link is not None:
        rows = rows.filter(part__station__in=Station.objects.filter(mailboxes__link=link))
    return rows


def open_deliveries(mailbox: Mailbox) -> QuerySet[Delivery]:
    """Unanswered deliveries in the order of their numbers."""
    return (
        Delivery.objects.select_related("mailbox", "disposition__part", "disposition__inspection__golden")
        .filter(mailbox=mailbox, state__in=OPEN_DELIVERY_STATES)
        .order_by("seq")
    )


# --- for pages and reports ---------------------------------------------------------------------------------
def deliveries_of(part: Part) -> QuerySet[Delivery]:
    """How each disposition of the part reached the PLC, oldest first."""
    return (
        Delivery.objects.select_related("mailbox").filter(disposition__part=part).order_by("disposition_id")
    )


def link_of(station: Station) -> PlcLink | None:
    return PlcLink.objects.filter(mailboxes__station=station).first()


def links_of(line: Line) -> QuerySet[PlcLink]:
    return PlcLink.objects.filter(mailboxes__station__line=line).distinct().order_by("code")


def refused_deliveries(line: Line) -> QuerySet[Delivery]:
    """Refused and not yet seen by a person, newest first."""
    return (
        Delivery.objects.select_related("mailbox", "disposition__part")
        .filter(state=DeliveryState.REFUSED, seen_at=None, mailbox__station__line=line)
        .order_by("-id")
    )


@dataclass(frozen=True, slots=True)
class Health:
    """`word` is up, late or down; `sentence` says why, for the operator."""

    word: str
    sentence: str
    since: datetime | None = None

    @property
    def is_up(self) -> bool:
        return self.word == "up"


def link_health(link: PlcLink, now: datetime) -> Health:
    """How the link fares, judged by the row alone: a gateway that died wrote nothing about it."""
    if not link.lease_owner or link.lease_expires_at is None or link.lease_expires_at < now:
        return Health("down", f"No gateway runs for {link.code}.", link.lease_expires_at)
    if link.state == LinkState.DISCONNECTED:
        return Health("down", link.alarm or f"{link.code} is not connected.", link.alarm_at)
    frozen = timedelta(seconds=HEARTBEAT_FROZEN_S) + WRITTEN_EVERY
    if link.plc_hb_at is None or now - link.plc_hb_at > frozen:
        return Health("down", f"The heartbeat of {link.code} stands still.", link.plc_hb_at)
    if link.state != LinkState.CONNECTED:
        return Health("late", link.alarm or str(LinkState(link.state).label), link.alarm_at)
    oldest = (
        Delivery.objects.filter(mailbox__link=link, state=DeliveryState.SENT)
        .order_by("sent_at")
        .values_list("sent_at", flat=True)
        .first()
    )
    if oldest is not None and now - oldest > LATE_AFTER:
        return Health(
            "late", f"{link.code} has not answered for {(now - oldest).total_seconds():.0f} s.", oldest
        )
    return Health("up", f"{link.code} is connected.", link.plc_hb_at)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One line of the operator's alarm list. `delivery` is set for a refusal, which a person takes note of."""

    link: PlcLink
    sentence: str
    since: datetime | None
    delivery: Delivery | None = None


def open_alarms(line: Line, now: datetime, *, most_refusals: int = 20) -> list[Alarm]:
    """What an operator must know: links that are not up, notices to reset, refused deliveries to see."""
    alarms = []
    links = {link.pk: link for link in links_of(line)}
    for link in links.values():
        health = link_health(link, now)
        if not health.is_up:
            alarms.append(Alarm(link, health.sentence, health.since))
        if link.notice:
            alarms.append(Alarm(link, link.notice, link.notice_at))
    for delivery in refused_deliveries(line)[:most_refusals]:
        since = delivery.acked_at or delivery.queued_at
        alarms.append(Alarm(links[delivery.mailbox.link_id], _refusal(delivery), since, delivery))
    return alarms


def _refusal(delivery: Delivery) -> str:
    """What was refused and why; of a correction also what counts for the part now."""
    row = delivery.disposition
    if row.source != Source.CHANGED:
        return f"{row.part.plc_part_id} {row.outcome}: {delivery.problem}."
    sentence = f"{row.part.plc_part_id} was to be corrected to {row.outcome}: {delivery.problem}."
    standing = row.part.dispositions.filter(is_final=True).first()
    if standing is None or standing.outcome == row.outcome:
        return f"{sentence} Find the part: the PLC has not carried this out."
    if standing.outcome == Outcome.PASS:
        return f"{sentence} PASS stands again: the quality expert calls a part bad that was passed. Find it."
    return f"{sentence} {standing.outcome} stands again."


def ack_times(*, since: datetime, until: datetime, line: Line | None = None, kind: str = "") -> list[float]:
    """Milliseconds from trigger to the PLC's ack of the deliveries acked in [since, until), by time of the ack.

    kind  a MailboxKind: the automatic results alone, or the late ones
    """
    return [
        (acked_at - triggered_at).total_seconds() * 1000
        for acked_at, triggered_at in _acked(since, until, line, kind).values_list(
            "acked_at", "disposition__part__triggered_at"
        )
        if acked_at is not None
    ]


def send_times(*, since: datetime, until: datetime, line: Line | None = None, kind: str = "") -> list[float]:
    """Milliseconds from the decision (the disposition's commit) to the PLC's ack."""
    return [
        (acked_at - decided_at).total_seconds() * 1000
        for acked_at, decided_at in _acked(since, until, line, kind).values_list(
            "acked_at", "disposition__decided_at"
        )
        if acked_at is not None
    ]


def _acked(since: datetime, until: datetime, line: Line | None, kind: str) -> QuerySet[Delivery]:
    rows = Delivery.objects.filter(state=DeliveryState.ACKED, acked_at__gte=since, acked_at__lt=until)
    if line is not None:
        rows = rows.filter(mailbox__station__line=line)
    if kind:
        rows = rows.filter(mailbox__kind=kind)
    return rows.order_by("acked_at")
