"""What may go wrong on demand, each armed for the next so many occasions."""

import threading
from enum import StrEnum


class Fault(StrEnum):
    DROP_AFTER_WRITE = "drop_after_write"  # executed, then the connection is closed without a reply
    LOST_REPLY = "lost_reply"  # executed, no reply, the connection stays
    STALL = "stall"  # neither executed nor answered for some seconds, then both
    PARTIAL_REPLY = "partial_reply"  # half a reply, then closed
    FORWARD_OPEN_REFUSED = "forward_open_refused"
    LARGE_FORWARD_OPEN_REFUSED = "large_forward_open_refused"
    FORWARD_OPEN_REPLY_LOST = "forward_open_reply_lost"  # opened in the PLC, unknown to the client
    WRITE_REJECTED = "write_rejected"  # every service of the request
    SECOND_WRITE_REJECTED = "second_write_rejected"  # the last write of a multi-service request only
    SLOW_REPLY = "slow_reply"  # executed at once, answered late
    DOUBLE_REPLY = "double_reply"
    GARBAGE = "garbage"  # random bytes instead of a reply
    NO_SESSION = "no_session"
    # at once, not on an occasion
    DOWNLOAD = "download"  # same tags, other instance ids
    RESTART = "restart"  # power cycle, tags retained
    COUNTER_RESET = "counter_reset"  # power cycle, memory lost
    FREEZE = "freeze"  # the program stands still for some seconds, communication goes on
    DROP_ALL = "drop_all"  # every connection closed


ON_WRITES = {Fault.DROP_AFTER_WRITE, Fault.WRITE_REJECTED, Fault.SECOND_WRITE_REJECTED}
AT_ONCE = {Fault.DOWNLOAD, Fault.RESTART, Fault.COUNTER_RESET, Fault.FREEZE, Fault.DROP_ALL}


class Faults:
    """Armed faults; `taken` counts those that happened."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[tuple[Fault, float, bool]] = []
        self.taken = 0

    def arm(self, fault: Fault, *, count: int = 1, seconds: float = 1.0, writes_only: bool = False) -> None:
        """Let it happen on the next `count` occasions.

        seconds      how long a stall or a slow reply lasts
        writes_only  skip requests that write no tag
        """
        with self._lock:
            self._armed += [(fault, seconds, writes_only or fault in ON_WRITES)] * count

    def take(self, *faults: Fault, is_write: bool = False) -> tuple[Fault, float] | None:
        """The oldest armed of these faults that fits this occasion, disarmed; None if there is none."""
        with self._lock:
            for index, (fault, seconds, writes_only) in enumerate(self._armed):
                if fault in faults and (is_write or not writes_only):
                    del self._armed[index]
                    self.taken += 1
                    return fault, seconds
        return None

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()
