"""Two watches beside the mailboxes: is the PLC's program alive, and was every trigger captured?"""

import math
from collections.abc import Iterable

from plc.handshake.words import MAX_DINT, Event, LinkDown, LinkUp

HEARTBEAT_FROZEN_S = 2.0
HEARTBEAT_EVERY_S = 0.5


class HeartbeatWatch:
    """PlcHb frozen for more than 2 s means the link is down even if reads work (rule 6)."""

    def __init__(self, *, frozen_s: float = HEARTBEAT_FROZEN_S) -> None:
        self.is_up = False
        self._frozen_s = frozen_s
        self._last: int | None = None
        self._changed_at = -math.inf

    def seen(self, plc_hb: int, now: float) -> list[Event]:
        """A heartbeat was read. The first one proves nothing; the first change does."""
        if plc_hb == self._last:
            return self.passed(now)
        first, self._last = self._last is None, plc_hb
        if first:
            return []
        self._changed_at = now
        if self.is_up:
            return []
        self.is_up = True
        return [LinkUp(now)]

    def passed(self, now: float) -> list[Event]:
        """Time went by, with or without readable tags."""
        if not self.is_up or now - self._changed_at <= self._frozen_s:
            return []
        self.is_up = False
        return [LinkDown(f"the PLC's heartbeat stands still for more than {self._frozen_s:g} s", now)]


class TriggerJumpError(ValueError):
    """The counter moved by more than could have been missed: a reset or a foreign counter, not a gap."""


def next_trigger(trig_seq: int) -> int:
    """The PLC's trigger counter runs 1 .. 2^31-1 and then 1 again."""
    return 1 if trig_seq >= MAX_DINT else trig_seq + 1


def missed_triggers(captured: Iterable[int], *, since: int, until: int, at_most: int = 1000) -> list[int]:
    """Trigger numbers in (since, until] that no capture carries: PLC counter = captured + missed (rule 8).

    since    last number already accounted for (0 at the very start)
    until    TrigSeq as read from the PLC
    at_most  a longer way from since to until is no gap

    Raises TriggerJumpError.
    """
    ahead = until - since if until >= since else until - since + MAX_DINT
    if ahead > at_most:
        raise TriggerJumpError(f"The trigger counter jumped from {since} to {until}.")
    seen = set(captured)
    missed, number = [], since
    for _ in range(ahead):
        number = next_trigger(number)
        if number not in seen:
            missed.append(number)
    return missed
