"""One mailbox as a state machine: the table first, then the machine that walks it."""

import math
from collections.abc import Mapping
from enum import Enum, auto

from plc.handshake.words import (
    AckCode,
    Acked,
    Alarm,
    Disposition,
    Event,
    NewDriver,
    Read,
    Refused,
    Request,
    Resync,
    ResyncNeeded,
    Status,
    Timing,
    WaitUntil,
    WritePayload,
    WriteSeq,
)


class State(Enum):
    IDLE = auto()  # no row
    CHECK = auto()  # read DispSeq and AckSeq before the first word
    WRITE_PAYLOAD = auto()
    WRITE_SEQ = auto()
    WAIT_ACK = auto()
    BACKOFF = auto()  # the driver is gone; the same row again later
    RESYNC = auto()  # stopped until the plan is committed


class Input(Enum):
    OFFERED = auto()
    UNSEEN = auto()  # AckSeq is one before ours (or where we left it)
    ACKED = auto()  # AckSeq is ours
    INCONSISTENT = auto()  # AckSeq is elsewhere, or PlcBoot changed
    WRITTEN = auto()
    FAILED = auto()
    DROPPED = auto()  # the driver went for another mailbox's sake
    OVERDUE = auto()
    ELAPSED = auto()
    RESENT = auto()  # plan committed, the row goes again
    CLEARED = auto()  # plan committed, nothing in flight


_S, _I = State, Input
# fmt: off
TRANSITIONS: Mapping[State, Mapping[Input, State]] = {
    _S.IDLE: {_I.OFFERED: _S.CHECK, _I.INCONSISTENT: _S.RESYNC,
              _I.UNSEEN: _S.IDLE, _I.FAILED: _S.IDLE, _I.DROPPED: _S.IDLE},
    _S.CHECK: {_I.UNSEEN: _S.WRITE_PAYLOAD, _I.ACKED: _S.IDLE, _I.INCONSISTENT: _S.RESYNC,
               _I.FAILED: _S.BACKOFF, _I.DROPPED: _S.CHECK},
    _S.WRITE_PAYLOAD: {_I.WRITTEN: _S.WRITE_SEQ, _I.ACKED: _S.IDLE, _I.INCONSISTENT: _S.RESYNC,
                       _I.FAILED: _S.BACKOFF, _I.DROPPED: _S.CHECK, _I.UNSEEN: _S.WRITE_PAYLOAD},
    _S.WRITE_SEQ: {_I.WRITTEN: _S.WAIT_ACK, _I.ACKED: _S.IDLE, _I.INCONSISTENT: _S.RESYNC,
                   _I.FAILED: _S.BACKOFF, _I.DROPPED: _S.CHECK, _I.UNSEEN: _S.WRITE_SEQ},
    _S.WAIT_ACK: {_I.ACKED: _S.IDLE, _I.OVERDUE: _S.BACKOFF, _I.INCONSISTENT: _S.RESYNC,
                  _I.FAILED: _S.BACKOFF, _I.DROPPED: _S.WAIT_ACK, _I.UNSEEN: _S.WAIT_ACK},
    _S.BACKOFF: {_I.ELAPSED: _S.CHECK, _I.ACKED: _S.IDLE, _I.INCONSISTENT: _S.RESYNC,
                 _I.FAILED: _S.BACKOFF, _I.DROPPED: _S.BACKOFF, _I.UNSEEN: _S.BACKOFF},
    _S.RESYNC: {_I.RESENT: _S.CHECK, _I.CLEARED: _S.IDLE, _I.UNSEEN: _S.RESYNC, _I.ACKED: _S.RESYNC,
                _I.INCONSISTENT: _S.RESYNC, _I.FAILED: _S.RESYNC, _I.DROPPED: _S.RESYNC},
}
# fmt: on


class IllegalInputError(Exception):
    """The caller did something the table does not allow in this state."""


class Mailbox:
    """The handshake of one mailbox.

    name      "S01", "H01"
    next_seq  the number of the oldest unacknowledged row, or of the next row to come
    boot      PlcBoot as last remembered; None if this PLC was never seen

    After a start, offer the oldest unacknowledged row before the first `received`: it may have been answered.
    """

    def __init__(self, name: str, *, next_seq: int, boot: int | None, timing: Timing | None = None) -> None:
        self.name = name
        self.boot = boot
        self.timing = timing or Timing()
        self.state = State.IDLE
        self.item: Disposition | None = None
        self.last_acked = next_seq - 1
        self.failures = 0
        self.status: Status | None = None
        self._until = math.inf  # the moment the present state ends by itself
        self._poll_at = -math.inf
        self._quiet_since = math.inf
        self._wants_new_driver = False

    # inputs

    def offer(self, item: Disposition, now: float) -> None:
        """Hand over the next committed row. Raises IllegalInputError if one is in flight or its number is not next."""
        if self.state is not State.IDLE:
            raise IllegalInputError(f"{self.name} is in {self.state.name} and takes no new row.")
        if item.seq != self.last_acked + 1:
            raise IllegalInputError(f"{self.name} expects number {self.last_acked + 1}, not {item.seq}.")
        self.item = item
        self._step(Input.OFFERED, now)

    def received(self, status: Status, now: float) -> list[Event]:
        """A status read after the last request: the only way a row can succeed."""
        self._poll_at = now + self.timing.poll_s
        if self.state is State.RESYNC:
            before, self.status = self.status, status
            if before is None or _place(before) != _place(status) or math.isinf(self._quiet_since):
                self._quiet_since = now
            return []
        self.status = status
        if self.boot is None:
            self.boot = status.plc_boot
        what, reason = self._judge(status)
        self._step(what, now)
        if what is Input.ACKED:
            return [self._answered(status, now)]
        if what is Input.INCONSISTENT:
            self._quiet_since = now
            return [ResyncNeeded(self.name, reason, now), Alarm(self.name, reason, now)]
        return []

    def written(self, now: float) -> list[Event]:
        """Every tag of the asked write reported success. This is not yet success of the row."""
        self._step(Input.WRITTEN, now)
        return []

    def failed(self, error: str, now: float) -> list[Event]:
        """The asked read or write failed, or its outcome is unknown: same row, new driver, later."""
        had_a_row = self.state in (State.CHECK, State.WRITE_PAYLOAD, State.WRITE_SEQ, State.WAIT_ACK)
        self._quiet_since = math.inf
        self._step(Input.FAILED, now)
        return [self._alarm(error, now)] if had_a_row else []

    def dropped(self, now: float) -> None:
        """The driver is closed. Whatever was half done starts again with reading."""
        self._wants_new_driver = False
        self._quiet_since = math.inf
        self._step(Input.DROPPED, now)

    def passed(self, now: float) -> list[Event]:
        """Time went by."""
        if self.state is State.WAIT_ACK and now >= self._until:
            self._step(Input.OVERDUE, now)
            return [self._alarm(f"no answer within {self.timing.ack_s:g} s", now)]
        if self.state is State.BACKOFF and now >= self._until:
            self._step(Input.ELAPSED, now)
        return []

    def resynced(self, plan: Resync, now: float) -> list[Event]:
        """The rows are renumbered and committed as the plan says; go on."""
        if self.state is not State.RESYNC:
            raise IllegalInputError(
                f"{self.name} is in {self.state.name}; there is nothing to re-synchronise."
            )
        events: list[Event] = []
        if plan.acked_seq is not None and self.item is not None:
            events.append(_answer(self.name, self.item, plan.acked_seq, plan.ack_code, now))
        self.boot, self.last_acked, self.item = plan.boot, plan.next_seq - 1, plan.resend
        self.failures = 0
        self._step(Input.CLEARED if self.item is None else Input.RESENT, now)
        return events

    # outputs

    def next_request(self, now: float) -> Request:
        """What to do now. Asking changes nothing."""
        if self._wants_new_driver:
            return NewDriver()
        if self.state is State.CHECK:
            return Read()
        if self.state is State.WRITE_PAYLOAD and self.item is not None:
            return WritePayload(self.item)
        if self.state is State.WRITE_SEQ and self.item is not None:
            return WriteSeq(self.item.seq)
        if self.state is State.RESYNC and now >= self._quiet_since + self.timing.quiet_s:
            return self.plan()
        if self.state in (State.WAIT_ACK, State.RESYNC):
            return Read() if now >= self._poll_at else WaitUntil(min(self._until, self._poll_at))
        return WaitUntil(self._until)

    def plan(self) -> Resync:
        """How to go on after a disagreement, from what was read last (rule 3)."""
        if self.state is not State.RESYNC or self.status is None:
            raise IllegalInputError(f"{self.name} has nothing to re-synchronise.")
        status, item = self.status, self.item
        answered = (
            item is not None
            and status.ack_part_id == item.part_id
            and status.ack_seq in (item.seq, *item.former_seqs)
        )
        next_seq = status.ack_seq + 1
        return Resync(
            next_seq=next_seq,
            boot=status.plc_boot,
            resend=None if item is None or answered else item.renumbered(next_seq),
            acked_seq=status.ack_seq if answered else None,
            ack_code=status.ack_code,
        )

    # how it decides

    def _judge(self, status: Status) -> tuple[Input, str]:
        item, acked = self.item, status.ack_seq
        if status.plc_boot != self.boot:
            return Input.INCONSISTENT, f"the PLC was restarted (boot {self.boot} -> {status.plc_boot})"
        if item is not None and acked == item.seq:
            if status.ack_part_id == item.part_id:
                return Input.ACKED, ""
            return Input.INCONSISTENT, f"number {acked} was answered for another part, {status.ack_part_id!r}"
        if acked == self.last_acked:
            return Input.UNSEEN, ""
        side = "below" if acked > self.last_acked else "above"
        return Input.INCONSISTENT, f"our outbox ({self.last_acked}) is {side} the PLC's AckSeq ({acked})"

    def _step(self, what: Input, now: float) -> None:
        before = self.state
        after = TRANSITIONS[before].get(what)
        if after is None:
            raise IllegalInputError(f"{self.name}: {what.name} is not possible in {before.name}.")
        self.state = after
        if after is before:
            return
        self._until = math.inf
        if after is State.WAIT_ACK:
            self._until, self._poll_at = now + self.timing.ack_s, now + self.timing.poll_s
        elif after is State.BACKOFF:
            self.failures += 1
            self._until = now + self.timing.backoff_s(self.failures)
            self._wants_new_driver = True
        elif after is State.RESYNC:
            self._wants_new_driver = False

    def _answered(self, status: Status, now: float) -> Event:
        item = self.item
        if item is None:
            raise IllegalInputError(f"{self.name}: an answer without a row.")
        self.item, self.last_acked, self.failures, self._wants_new_driver = None, item.seq, 0, False
        return _answer(self.name, item, item.seq, status.ack_code, now)

    def _alarm(self, error: str, now: float) -> Alarm:
        seq = self.item.seq if self.item else 0
        again_s = max(0.0, self._until - now)
        return Alarm(
            self.name, f"number {seq}: {error}; attempt {self.failures}, again in {again_s:.1f} s", now
        )


def _place(status: Status) -> tuple[int, int, int]:
    return status.plc_boot, status.disp_seq, status.ack_seq


def _answer(mailbox: str, item: Disposition, seq: int, code: int, now: float) -> Event:
    kind = Acked if code == AckCode.APPLIED else Refused
    return kind(mailbox, seq, code, item.part_id, now)
