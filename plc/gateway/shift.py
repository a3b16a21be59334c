"""One span of owning a PLC: carry out the handshake, and commit what happened before going on."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from audit.actor import Actor
from inspection.states import Source
from plc import actions
from plc.drivers.driver import PlcDriver
from plc.drivers.protocols import new_driver as driver_of
from plc.drivers.runner import Runner
from plc.gateway.outbox import POLL_S, Outbox
from plc.gateway.triggers import TriggerWatch
from plc.handshake import (
    HEARTBEAT_FROZEN_S,
    Acked,
    Alarm,
    Event,
    LinkDown,
    Mailbox,
    Refused,
    Resync,
    ResyncNeeded,
    State,
    Status,
    Timing,
)
from plc.models import Delivery, PlcLink
from plc.models import Mailbox as MailboxRow
from plc.outbox import words_of
from plc.queries import mailboxes_of, open_deliveries
from plc.states import DeliveryState, LinkState, MailboxKind

RENEW_S = 1.0
DATABASE_LOST_S = (
    2.0  # then our heartbeat stops: the PLC must not trust a gateway that cannot commit (rule 6)
)
DATABASE_RETRY_S = 0.25
ALARM_LASTS_S = 35.0  # a little more than the longest back-off

_log = logging.getLogger(__name__)


class Lane:
    """One mailbox: its row, its machine, and its open deliveries in the order of their numbers."""

    def __init__(self, row: MailboxRow, timing: Timing) -> None:
        self.row = row
        self.queue: deque[Delivery] = deque(open_deliveries(row))
        first = self.queue[0].seq if self.queue else None
        self.machine = Mailbox(row.code, next_seq=first or row.next_seq, boot=row.plc_boot, timing=timing)
        self.triggers = TriggerWatch()

    @property
    def on_its_way(self) -> Delivery | None:
        return self.queue[0] if self.queue and self.queue[0].state == DeliveryState.SENT else None


class Shift:
    """Owns one PLC under one lease, in one thread.

    new_driver  makes an unopened driver; left out, the link's own
    timing      of the handshake; tests shorten it
    clock       monotonic seconds

    Everything in memory is a copy of rows: after a failed transaction it is read again.
    """

    def __init__(
        self,
        link: PlcLink,
        lease: actions.Lease,
        *,
        new_driver: Callable[[], PlcDriver] | None = None,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.link = link
        self.lease = lease
        self._actor = Actor.system(f"gateway {link.code}")
        self._clock = clock
        self._timing = timing or Timing()
        self._lanes = {row.code: Lane(row, self._timing) for row in mailboxes_of(link.pk)}
        self._outbox = Outbox(link, clock=clock)
        names = list(self._lanes)
        self._runner = Runner(
            new_driver or _driver_maker(link, names),
            [lane.machine for lane in self._lanes.values()],
            timing=self._timing,
            clock=clock,
        )
        self._events: list[Event] = []  # what the PLC did and the database does not know yet
        self._alarm, self._alarm_at = "", -math.inf
        self._started_at = self._renewed_at = clock()
        self._retry_at = -math.inf
        self._is_stale = False
        self._last_ack_at: datetime | None = None
        for lane in self._lanes.values():
            self._resume(lane)

    def turn(self) -> None:
        """Everything that is due now; never sleeps. Raises LeaseLostError when another gateway took over."""
        self._with_database(self._renew)
        unrenewed_s = self._clock() - self._renewed_at
        if unrenewed_s > actions.LEASE_S:
            raise actions.LeaseLostError(
                "The lease could not be renewed in time; another gateway may be sending."
            )
        self._events += self._runner.tick(beat=unrenewed_s < DATABASE_LOST_S)
        self._with_database(self._commit)

    def wait_s(self) -> float:
        return min(self._runner.wait_s(), POLL_S)

    def look_now(self) -> None:
        """A disposition was committed: the next turn looks for it, however short ago it looked."""
        self._outbox.look_now()

    def close(self) -> None:
        """Close the connection in order; what the PLC still answered is committed first if it can be."""
        self._retry_at = -math.inf
        try:
            if self._events:
                self._with_database(self._commit_answers)
        except actions.LeaseLostError as lost:
            _log.info(
                "%s: the next gateway will find %s answers: %s", self.link.code, len(self._events), lost
            )
        finally:
            self._runner.close()

    # the database, which may fail without the link noticing

    def _with_database(self, step: Callable[[], None]) -> None:
        now = self._clock()
        if now < self._retry_at:
            return
        try:
            step()
        except (DatabaseError, InterfaceError) as problem:
            _log.warning("%s: the database did not answer, %s", self.link.code, problem)
            self._is_stale = True
            self._retry_at = self._clock() + DATABASE_RETRY_S
            connection.close_if_unusable_or_obsolete()

    def _renew(self) -> None:
        now = self._clock()
        if now < self._renewed_at + RENEW_S:
            return
        actions.renew_lease(lease=self.lease, **self._seen())
        self._renewed_at = now
        self._account_for_triggers(now)

    def _seen(self) -> dict[str, Any]:
        """What the pages show of the PLC. The first automatic mailbox speaks for the link."""
        seen: dict[str, Any] = {"last_ack_at": self._last_ack_at} if self._last_ack_at else {}
        for _, status in self._automatic()[:1]:
            seen |= {"hold_free": status.hold_free, "mode": status.mode, "trig_seq": status.trig_seq}
            if status.plc_hb != self.link.plc_hb:
                self.link.plc_hb, self.link.plc_hb_at = status.plc_hb, timezone.now()
                seen |= {"plc_hb": self.link.plc_hb, "plc_hb_at": self.link.plc_hb_at}
        return seen

    def _account_for_triggers(self, now: float) -> None:
        for lane, status in self._automatic():
            due = lane.triggers.seen(status.trig_seq, now)
            if due is None or due == lane.row.trig_seq or not self._runner.link_is_up:
                continue
            sentence = actions.account_for_triggers(mailbox=lane.row, until=due, actor=self._actor)
            if sentence:
                actions.raise_notice(link=self.link, sentence=sentence, actor=self._actor)

    def _automatic(self) -> list[tuple[Lane, Status]]:
        return [
            (lane, self._runner.statuses[code])
            for code, lane in self._lanes.items()
            if lane.row.kind == MailboxKind.AUTOMATIC and code in self._runner.statuses
        ]

    def _fence(self) -> AbstractContextManager[actions.Fence]:
        return actions.held_fence(lease=self.lease, actor=self._actor)

    # one turn's work in one transaction

    def _commit(self) -> None:
        if self._is_stale:
            self._read_again()
        dispositions = self._outbox.new()
        plans = self._runner.plans()
        if self._events or dispositions or plans or self._has_something_to_offer() or self._link_moved():
            with self._fence() as fence:
                self._record_events(fence)
                for machine, plan in plans:
                    self._resynchronise(self._lanes[machine.name], plan, fence)
                self._take_in(actions.enqueue_deliveries(dispositions=dispositions, fence=fence))
                self._keep_link_state()
                for lane in self._lanes.values():
                    self._mark_next_sent(lane, fence)
            self._events.clear()
            for machine, plan in plans:
                self._events += machine.resynced(plan, self._clock())
            for lane in self._lanes.values():
                self._offer(lane)

    def _read_again(self) -> None:
        self.link.refresh_from_db()
        for lane in self._lanes.values():
            lane.row.refresh_from_db()
            lane.queue = deque(open_deliveries(lane.row))
        self._outbox.forget()
        self._is_stale = False

    def _take_in(self, made: Sequence[Delivery]) -> None:
        for delivery in made:
            if delivery.seq is None:
                _log.warning("%s: not sent: %s", self.link.code, delivery.problem)
            else:
                self._lanes[delivery.mailbox.code].queue.append(delivery)
        for code in {row.mailbox.code for row in made if row.disposition.source == Source.CHANGED}:
            # It may have taken the place of another in the middle of the queue.
            lane = self._lanes[code]
            lane.queue = deque(open_deliveries(lane.row))

    def _commit_answers(self) -> None:
        if self._is_stale:
            self._read_again()
        with self._fence() as fence:
            self._record_events(fence)
        self._events.clear()

    def _record_events(self, fence: actions.Fence) -> None:
        for event in self._events:
            match event:
                case Acked() | Refused():
                    self._answered(event, fence)
                case Alarm(text=text):
                    self._alarm, self._alarm_at = text.partition("; attempt")[0], event.at
                    self._count_attempt(event, fence)
                    _log.warning("%s: %s: %s", self.link.code, event.mailbox, text)
                case LinkDown(reason=reason):
                    if event.at - self._alarm_at > ALARM_LASTS_S:
                        self._alarm, self._alarm_at = reason, event.at
                case ResyncNeeded(reason=reason):
                    self._alarm, self._alarm_at = f"{event.mailbox} stopped: {reason}", event.at

    def _answered(self, event: Acked | Refused, fence: actions.Fence) -> None:
        lane = self._lanes[event.mailbox]
        delivery = lane.on_its_way
        if delivery is None or delivery.seq != event.seq:
            return  # the re-synchronisation has ended it already
        at = timezone.now() - timedelta(seconds=max(0.0, self._clock() - event.at))
        if isinstance(event, Acked):
            actions.mark_acked(delivery=delivery, at=at, fence=fence)
        else:
            actions.mark_refused(delivery=delivery, code=event.code, at=at, fence=fence)
            _log.warning("%s: %s number %s: %s", self.link.code, event.mailbox, event.seq, event.text)
        self._last_ack_at = at
        lane.queue.popleft()

    def _count_attempt(self, event: Alarm, fence: actions.Fence) -> None:
        lane = self._lanes.get(event.mailbox)
        if lane and lane.on_its_way and lane.machine.state is State.BACKOFF:
            actions.begin_again(delivery=lane.on_its_way, fence=fence)

    def _resynchronise(self, lane: Lane, plan: Resync, fence: actions.Fence) -> None:
        sentence = actions.resynchronise(mailbox=lane.row, plan=plan, at=timezone.now(), fence=fence)
        actions.raise_notice(link=self.link, sentence=f"{self._alarm}. {sentence}", actor=self._actor)
        lane.queue = deque(open_deliveries(lane.row))
        _log.warning("%s: %s", self.link.code, sentence)

    # offers

    def _has_something_to_offer(self) -> bool:
        return any(self._next_of(lane) is not None for lane in self._lanes.values())

    def _next_of(self, lane: Lane) -> Delivery | None:
        if lane.machine.state is not State.IDLE or not lane.queue:
            return None
        head = lane.queue[0]
        return None if self._waits_for_its_hold(lane, head) else head

    def _waits_for_its_hold(self, lane: Lane, head: Delivery) -> bool:
        """A final disposition goes out after the HOLD of its part was answered: before, the PLC knows no such part."""
        if lane.row.kind != MailboxKind.LATE or head.state != DeliveryState.QUEUED:
            return False
        part_id = head.disposition.part_id
        return any(
            delivery.disposition.part_id == part_id
            for other in self._lanes.values()
            if other.row.station_id == lane.row.station_id and other.row.kind == MailboxKind.AUTOMATIC
            for delivery in other.queue
        )

    def _mark_next_sent(self, lane: Lane, fence: actions.Fence) -> None:
        delivery = self._next_of(lane)
        if delivery is not None and delivery.state == DeliveryState.QUEUED:
            actions.mark_sent(delivery=delivery, fence=fence)
        boot = lane.machine.boot
        if lane.row.plc_boot is None and boot is not None:
            actions.remember_boot(mailbox=lane.row, boot=boot, fence=fence)

    def _offer(self, lane: Lane) -> None:
        delivery = self._next_of(lane)
        if delivery is None or delivery.state != DeliveryState.SENT or delivery.seq is None:
            return
        words = words_of(delivery.disposition, seq=delivery.seq, former_seqs=tuple(delivery.former_seqs))
        lane.machine.offer(words, self._clock())

    def _resume(self, lane: Lane) -> None:
        """What an earlier gateway sent may have been answered: offer it before the first reading."""
        if lane.on_its_way is not None:
            with self._fence() as fence:
                actions.begin_again(delivery=lane.on_its_way, fence=fence)
            self._offer(lane)

    # how the link fares

    def _state(self) -> str:
        machines = [lane.machine for lane in self._lanes.values()]
        if any(machine.state is State.RESYNC for machine in machines):
            return LinkState.RESYNC
        if not self._runner.link_is_up:
            # A new gateway needs a moment to see the heartbeat move; that is no change of the link.
            is_young = self._clock() - self._started_at < HEARTBEAT_FROZEN_S
            return self.link.state if is_young else LinkState.DISCONNECTED
        return LinkState.NOT_ANSWERING if any(m.failures for m in machines) else LinkState.CONNECTED

    def _link_moved(self) -> bool:
        state = self._state()
        return state != self.link.state or (state != LinkState.CONNECTED and self._alarm != self.link.alarm)

    def _keep_link_state(self) -> None:
        if not self._link_moved():
            return
        before, state = self.link.state, self._state()
        self._alarm = "" if state == LinkState.CONNECTED else self._alarm or "the PLC cannot be reached"
        actions.move_link(link=self.link, to=state, alarm=self._alarm, actor=self._actor)
        _log.info("%s: %s -> %s %s", self.link.code, before, state, self._alarm)


def _driver_maker(link: PlcLink, mailboxes: Sequence[str]) -> Callable[[], PlcDriver]:
    keys = settings.DATA_DIR / "opcua"
    return lambda: driver_of(link.driver, link.host, link.port, mailboxes, link.options, keys=keys)
