"""Binds mailboxes and a driver: carries out what the machines ask, in one thread, without Django.

The gateway offers rows, calls `tick`, commits the events and sleeps `wait_s`.
"""

import math
import time
from collections.abc import Callable, Sequence

from plc.drivers.driver import DriverError, PlcDriver
from plc.handshake import (
    HEARTBEAT_EVERY_S,
    MAX_DINT,
    Alarm,
    Event,
    HeartbeatWatch,
    Mailbox,
    NewDriver,
    Read,
    Resync,
    Status,
    Timing,
    WaitUntil,
    WritePayload,
    WriteSeq,
)

STATUS_EVERY_S = 0.2


class Runner:
    """One PLC: its driver, its mailboxes, its heartbeat both ways.

    new_driver  makes an unopened driver; called in the thread that calls `tick`
    mailboxes   all of this PLC; rows are offered to them directly (`mailbox.offer`)
    app_hb      the heartbeat number to go on from

    `statuses` holds what was read last, `link_is_up` whether the PLC's program is seen running.
    """

    def __init__(
        self,
        new_driver: Callable[[], PlcDriver],
        mailboxes: Sequence[Mailbox],
        *,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
        app_hb: int = 1,
    ) -> None:
        self.mailboxes = tuple(mailboxes)
        self.statuses: dict[str, Status] = {}
        self.drivers_opened = 0
        self._names = [mailbox.name for mailbox in mailboxes]
        self._new_driver = new_driver
        self._timing = timing or Timing()
        self._clock = clock
        self._app_hb = app_hb
        self._watch = HeartbeatWatch()
        self._driver: PlcDriver | None = None
        self._link_failures = 0
        self._open_not_before = -math.inf
        self._beat_at = -math.inf
        self._status_at = -math.inf

    @property
    def link_is_up(self) -> bool:
        return self._watch.is_up

    def tick(self, *, beat: bool = True) -> list[Event]:
        """Do what is due and return what happened; at most one exchange a mailbox and step, never a sleep.

        beat  False while a worker, the database or the storage is lost: the PLC then stops trusting us (rule 6)
        """
        now = self._clock()
        events: list[Event] = [event for mailbox in self.mailboxes for event in mailbox.passed(now)]
        events += self._watch.passed(now)
        if any(isinstance(mailbox.next_request(now), NewDriver) for mailbox in self.mailboxes):
            self._drop(now)
        try:
            if self._driver is None and now >= self._open_not_before:
                self._driver = self._opened()
            if self._driver is not None:
                events += self._exchange(self._driver, beat=beat)
        except DriverError as error:
            events += self._link_failed(str(error))
        return events

    def plans(self) -> list[tuple[Mailbox, Resync]]:
        """Mailboxes that stopped, each with the plan to commit before `mailbox.resynced(plan, now)`."""
        now = self._clock()
        asked = [(mailbox, mailbox.next_request(now)) for mailbox in self.mailboxes]
        return [(mailbox, request) for mailbox, request in asked if isinstance(request, Resync)]

    def wait_s(self) -> float:
        """How long the caller may sleep before the next `tick` if no row is offered."""
        now = self._clock()
        if self._driver is None:
            return max(0.0, min(self._open_not_before - now, STATUS_EVERY_S))
        until = min(self._beat_at, self._status_at)
        for mailbox in self.mailboxes:
            request = mailbox.next_request(now)
            if isinstance(request, Resync):
                until = min(until, now + STATUS_EVERY_S)  # it stays stopped until somebody commits the plan
            else:
                until = min(until, request.at if isinstance(request, WaitUntil) else now)
        return max(0.0, until - now)

    def close(self) -> None:
        """Hand the connection back. The mailboxes keep their rows."""
        self._drop(self._clock())

    def _opened(self) -> PlcDriver:
        driver = self._new_driver()
        driver.open()
        self.drivers_opened += 1
        return driver

    def _exchange(self, driver: PlcDriver, *, beat: bool) -> list[Event]:
        events: list[Event] = []
        now = self._clock()
        if beat and now >= self._beat_at:
            self._app_hb = 1 if self._app_hb >= MAX_DINT else self._app_hb + 1
            self._beat_at = now + HEARTBEAT_EVERY_S
            driver.write_heartbeat(self._names, self._app_hb)
        asked = [mailbox for mailbox in self.mailboxes if isinstance(mailbox.next_request(now), Read)]
        if now >= self._status_at:
            events += self._read(driver, self.mailboxes)
        elif asked:
            events += self._read(driver, asked)
        for mailbox in self.mailboxes:
            events += self._write(driver, mailbox)
        return events

    def _read(self, driver: PlcDriver, mailboxes: Sequence[Mailbox]) -> list[Event]:
        """Between the regular readings of all, a mailbox that waits is read alone: it costs a few tags, not all."""
        events: list[Event] = []
        asked_at = self._clock()
        try:
            read = driver.read_status([mailbox.name for mailbox in mailboxes])
        except DriverError as error:
            for mailbox in self.mailboxes:
                if isinstance(mailbox.next_request(asked_at), Read):
                    events += mailbox.failed(str(error), self._clock())
            return events + self._link_failed(str(error))
        now = self._clock()
        self.statuses |= read
        self._link_failures = 0
        if self._names[0] in read:
            events += self._watch.seen(read[self._names[0]].plc_hb, now)
        if len(mailboxes) == len(self.mailboxes):
            self._status_at = now + STATUS_EVERY_S
        for mailbox in mailboxes:
            events += mailbox.received(read[mailbox.name], now)
        return events

    def _write(self, driver: PlcDriver, mailbox: Mailbox) -> list[Event]:
        events: list[Event] = []
        while self._driver is driver:
            request = mailbox.next_request(self._clock())
            if not isinstance(request, WritePayload | WriteSeq):
                break
            try:
                if isinstance(request, WritePayload):
                    driver.write_payload(mailbox.name, request.item.payload(), self._app_hb)
                else:
                    driver.write_seq(mailbox.name, request.seq, self._app_hb)
            except DriverError as error:
                events += mailbox.failed(str(error), self._clock())
                return events + self._link_failed(str(error))
            events += mailbox.written(self._clock())
        return events

    def _link_failed(self, error: str) -> list[Event]:
        """Drop the driver and come back later: an impatient client fills the PLC's connection table (P10)."""
        now = self._clock()
        self._drop(now)
        self._link_failures += 1
        wait_s = self._timing.backoff_s(self._link_failures)
        self._open_not_before = now + wait_s
        names = " ".join(self._names)
        return [Alarm(names, f"link: {error}; attempt {self._link_failures}, again in {wait_s:.1f} s", now)]

    def _drop(self, now: float) -> None:
        if self._driver is not None:
            self._driver.close()
            self._driver = None
        for mailbox in self.mailboxes:
            mailbox.dropped(now)
