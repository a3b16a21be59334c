"""Gives the camera a moment before a trigger of the PLC counts as missed."""

from collections import deque

GRACE_S = 1.0


class TriggerWatch:
    """The PLC's trigger counter of one station, as it was a moment ago."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float]] = deque()

    def seen(self, trig_seq: int, now: float) -> int | None:
        """Take in a reading; return the newest one that is old enough to account for."""
        if not self._seen or self._seen[-1][0] != trig_seq:
            self._seen.append((trig_seq, now))
        while len(self._seen) > 1 and self._seen[1][1] <= now - GRACE_S:
            self._seen.popleft()
        trig_seq, since = self._seen[0]
        return trig_seq if since <= now - GRACE_S else None
