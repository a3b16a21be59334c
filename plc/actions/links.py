"""Links: set up, leased by one gateway at a time, and how they fare."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from audit.actor import Actor
from audit.transitions import move, record
from inspection.models import Station
from plc.models import Driver, Mailbox, PlcLink
from plc.states import LinkState, MailboxKind

LEASE_S = 5.0


class LeaseLostError(Exception):
    """Another gateway owns this PLC now; stop sending at once."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to talk to one PLC. Every write to its deliveries holds on to the fencing number."""

    link_id: int
    owner: str
    fencing_number: int


@transaction.atomic
def set_up_link(
    *,
    code: str,
    host: str,
    port: int,
    station: Station,
    actor: Actor,
    driver: str = Driver.ETHERNET_IP,
    options: dict[str, Any] | None = None,
) -> PlcLink:
    """Make the link with this station's two mailboxes, or bring its address up to date.

    options  what the driver's protocol leaves open; left out, as they are

    Raises ValidationError for an address, code or option that cannot be.
    """
    link = PlcLink.objects.select_for_update().filter(code=code).first() or PlcLink(code=code)
    before = "" if link.pk is None else _address(link)
    link.host, link.port, link.driver = host, port, driver
    link.options = link.options if options is None else options
    link.full_clean()
    if link.pk is None:
        link.save()
    else:
        # Only the address: a gateway may be writing the rest of the row.
        link.save(update_fields=["host", "port", "driver", "options"])
    boxes = ((station.code, MailboxKind.AUTOMATIC), (station.hold_mailbox, MailboxKind.LATE))
    made = [
        Mailbox.objects.get_or_create(station=station, kind=kind, defaults={"link": link, "code": box})[1]
        for box, kind in boxes
    ]
    after = _address(link)
    if any(made) or before != after:
        record(
            link, "set_up", actor=actor, details={"address": after, "mailboxes": [box for box, _ in boxes]}
        )
    return link


def _address(link: PlcLink) -> str:
    options = "".join(f" {name}={value}" for name, value in sorted(link.options.items()))
    return f"{link.driver} {link.host}:{link.port}{options}"


# --- the lease: by the database's clock, so that two machines need not agree on the time -------------------
def take_lease(*, link: PlcLink, owner: str) -> Lease | None:
    """Own the PLC if nobody else does; None while another gateway's lease runs."""
    free = Q(lease_owner="") | Q(lease_expires_at__lt=Now())
    with transaction.atomic():
        taken = PlcLink.objects.filter(free, pk=link.pk).update(
            lease_owner=owner,
            lease_expires_at=Now() + timedelta(seconds=LEASE_S),
            fencing_number=F("fencing_number") + 1,
        )
        if not taken:
            return None
        link.refresh_from_db()
        record(link, "taken_over", actor=Actor.system(owner), details={"fencing_number": link.fencing_number})
    return Lease(link.pk, owner, link.fencing_number)


def renew_lease(*, lease: Lease, **seen: Any) -> None:
    """Keep owning the PLC, and keep what was last seen of it (plc_hb_at, hold_free, …) in the same UPDATE.

    Raises LeaseLostError.
    """
    kept = _leased(lease).update(lease_expires_at=Now() + timedelta(seconds=LEASE_S), **seen)
    if not kept:
        raise LeaseLostError(f"Another gateway took over from {lease.owner}.")


def release_lease(*, lease: Lease) -> None:
    """Hand the PLC over at once; without it the next gateway waits for the lease to end."""
    with transaction.atomic():
        if _leased(lease).update(lease_owner="", lease_expires_at=None):
            link = PlcLink.objects.get(pk=lease.link_id)
            record(
                link,
                "handed_over",
                actor=Actor.system(lease.owner),
                details={"fencing_number": lease.fencing_number},
            )


@dataclass(frozen=True, slots=True)
class Fence:
    """Proof that this transaction holds the link's row and found it still ours; deliveries are written with it only."""

    lease: Lease
    actor: Actor


@contextmanager
def held_fence(*, lease: Lease, actor: Actor) -> Iterator[Fence]:
    """One transaction in which nobody can take over. Raises LeaseLostError, and then nothing is written."""
    with transaction.atomic():
        if not _leased(lease).select_for_update().values_list("pk").first():
            raise LeaseLostError(f"Another gateway took over from {lease.owner}.")
        yield Fence(lease, actor)


def _leased(lease: Lease) -> models.QuerySet[PlcLink]:
    return PlcLink.objects.filter(
        pk=lease.link_id, fencing_number=lease.fencing_number, lease_owner=lease.owner
    )


# --- how it fares ------------------------------------------------------------------------------------------
@transaction.atomic
def move_link(*, link: PlcLink, to: str, alarm: str, actor: Actor) -> None:
    """Say how the link fares now, or only why it fares badly; the event makes the open pages look."""
    alarm, alarm_at = alarm[:300], timezone.now() if alarm else None
    if to != link.state:
        # Connected means that the heartbeat was seen to move just now; the next reading is written within a second.
        seen: dict[str, Any] = {"plc_hb_at": timezone.now()} if to == LinkState.CONNECTED else {}
        move(link, to, actor=actor, details={"alarm": alarm}, alarm=alarm, alarm_at=alarm_at, **seen)
    elif alarm != link.alarm:
        link.alarm = alarm
        link.save(update_fields=["alarm"])
        record(link, "alarm", actor=actor, details={"alarm": alarm})


@transaction.atomic
def raise_notice(*, link: PlcLink, sentence: str, actor: Actor) -> None:
    """Something that a person must see, such as a re-synchronisation; it stays until a person resets it."""
    link.notice, link.notice_at = sentence[:300], timezone.now()
    link.save(update_fields=["notice", "notice_at"])
    record(link, "notice", actor=actor, details={"notice": link.notice})


@transaction.atomic
def reset_alarm(*, link: PlcLink, actor: Actor) -> PlcLink:
    """A person has seen the notice. What is wrong right now stays in `alarm` until it is over."""
    if (
        PlcLink.objects.filter(pk=link.pk, notice=link.notice)
        .exclude(notice="")
        .update(notice="", notice_at=None)
    ):
        record(link, "alarm_reset", actor=actor, details={"notice": link.notice})
        link.notice, link.notice_at = "", None
    return link
