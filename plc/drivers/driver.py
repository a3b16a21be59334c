"""What the handshake needs of a protocol, and nothing more."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from plc.handshake import Status

Payload = Mapping[str, int | float | str]


class DriverError(Exception):
    """The request failed or its outcome is unknown. Close this driver, never use it again, take a new one."""


class PlcDriver(Protocol):
    """One connection to one PLC, used by one thread, serving all mailboxes of that PLC.

    After any DriverError the object is spent. Success of a write means that every tag reported success; it never
    means that the PLC's program saw it.
    """

    def open(self) -> None:
        """Connect and check that the tags are there. Raises DriverError."""

    def close(self) -> None:
        """Hand the connection back as orderly as the peer still allows. Never raises, may be called twice."""

    def read_status(self, mailboxes: Sequence[str]) -> dict[str, Status]:
        """Read every status tag of these mailboxes, AckSeq of each before its AckCode and AckPartId."""

    def write_payload(self, mailbox: str, payload: Payload, app_hb: int) -> None:
        """Write VIS_x_Disp and the heartbeat."""

    def write_seq(self, mailbox: str, seq: int, app_hb: int) -> None:
        """Write VIS_x_DispSeq and the heartbeat, in a request of their own."""

    def write_heartbeat(self, mailboxes: Sequence[str], app_hb: int) -> None:
        """Write VIS_x_AppHb of these mailboxes."""
