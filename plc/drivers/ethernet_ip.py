"""Logix controllers over EtherNet/IP by pycomm3 1.2.16, with a rule for each hazard that was reproduced in it.

P1 two tags or more in every write, no bit writes - P2, P3, P11 `CheckedSocket`, set before open - P4 no instance
ids - P5 one owner thread - P6 every tag's own result is checked - P7 nothing here is retried, the handshake is
idempotent by number - P8 disposable object, `close` never raises - P9 part ids were validated by `Disposition` and
are validated again here - P10 a connection that may have been opened is closed in order.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Any

from pycomm3 import LogixDriver, PycommError

from plc.drivers.checked_socket import CheckedSocket
from plc.drivers.driver import DriverError, Payload
from plc.handshake import Status, validate_part_id

# Every failure reaches the caller as DriverError; the library would print a traceback of its own beside it.
logging.getLogger("pycomm3").setLevel(logging.CRITICAL + 1)

NAMESPACE = "VIS_"
# In the order of reading: the program writes AckSeq last, so it is read first.
STATUS_TAGS: dict[str, tuple[str, type]] = {
    "ack_seq": ("AckSeq", int),
    "ack_code": ("AckCode", int),
    "ack_part_id": ("AckPartId", str),
    "disp_seq": ("DispSeq", int),
    "plc_boot": ("PlcBoot", int),
    "plc_hb": ("PlcHb", int),
    "trig_seq": ("TrigSeq", int),
    "trig_part_id": ("TrigPartId", str),
    "hold_free": ("HoldFree", int),
    "mode": ("Mode", int),
}
WRITTEN_TAGS = ("Disp", "DispSeq", "AppHb")
CLOSE_TIMEOUT_S = 0.25


def tag_name(mailbox: str, member: str) -> str:
    """`VIS_S01_AckSeq` for ("S01", "AckSeq")."""
    return f"{NAMESPACE}{mailbox}_{member}"


class EthernetIpDriver:
    """A `PlcDriver` for one Logix controller.

    path       as pycomm3 writes it: "10.0.0.5", "10.0.0.5:44818", "10.0.0.5/1" (slot 1)
    mailboxes  ("S01", "H01"): their tags must exist, or `open` fails
    timeout_s  for each single exchange, 0.5 to 1 s in a plant
    """

    def __init__(self, path: str, mailboxes: Sequence[str], *, timeout_s: float = 0.75) -> None:
        self._path = path
        self._mailboxes = tuple(mailboxes)
        self._timeout_s = timeout_s
        self._owner = threading.get_ident()
        self._plc: Any = None
        self._socket: CheckedSocket | None = None
        self._is_spent = False

    def open(self) -> None:
        self._check_owner()
        if self._plc is not None or self._is_spent:
            raise DriverError("This driver was used before; take a new one.")
        try:
            self._socket = CheckedSocket(self._timeout_s)
            self._plc = LogixDriver(self._path, init_program_tags=False, tag_namespace_filter=NAMESPACE)
            self._plc.socket_timeout = self._timeout_s
            self._plc._sock = self._socket  # the only hook before open() (P2, P3, P11)
            self._register(self._plc)
        except Exception as error:
            self.close()
            raise _as_driver_error(f"No connection to the PLC at {self._path}", error) from error

    def close(self) -> None:
        self._is_spent = True
        plc, self._plc = self._plc, None
        sock, self._socket = self._socket, None
        try:
            if sock is not None:
                sock.timeout_s = min(sock.timeout_s, CLOSE_TIMEOUT_S)
            if plc is not None:
                if sock is not None and sock.forward_open_was_sent and plc._session:
                    plc._target_is_connected = True  # it may be open though its reply was lost (P10)
                plc.close()
        except Exception as error:  # pycomm3's close() raises whatever its socket raised (P8)
            logging.getLogger(__name__).debug("The PLC connection did not close in order: %s", error)
        finally:
            if sock is not None:
                sock.close()

    def read_status(self, mailboxes: Sequence[str]) -> dict[str, Status]:
        names = [tag_name(mailbox, tag) for mailbox in mailboxes for tag, _ in STATUS_TAGS.values()]
        tags = self._ask("read", *names)
        statuses = {}
        for index, mailbox in enumerate(mailboxes):
            own = tags[index * len(STATUS_TAGS) : (index + 1) * len(STATUS_TAGS)]
            values: dict[str, Any] = {}
            for (field, (_, kind)), tag in zip(STATUS_TAGS.items(), own, strict=True):
                if not isinstance(tag.value, kind) or isinstance(tag.value, bool):
                    raise DriverError(f"{tag.tag} is no {kind.__name__}: {tag.value!r}.")
                values[field] = tag.value
            statuses[mailbox] = Status(**values)
        return statuses

    def write_payload(self, mailbox: str, payload: Payload, app_hb: int) -> None:
        validate_part_id(str(payload["PartId"]))
        self._write((tag_name(mailbox, "Disp"), dict(payload)), (tag_name(mailbox, "AppHb"), app_hb))

    def write_seq(self, mailbox: str, seq: int, app_hb: int) -> None:
        self._write((tag_name(mailbox, "DispSeq"), seq), (tag_name(mailbox, "AppHb"), app_hb))

    def write_heartbeat(self, mailboxes: Sequence[str], app_hb: int) -> None:
        pairs = [(tag_name(mailbox, "AppHb"), app_hb) for mailbox in mailboxes]
        self._write(*pairs, *(pairs if len(pairs) == 1 else ()))

    def _write(self, *pairs: tuple[str, Any]) -> None:
        if len(pairs) < 2:
            raise DriverError("A single-tag write is malformed by pycomm3; write two tags or more (P1).")
        self._ask("write", *pairs)

    def _ask(self, verb: str, *what: Any) -> list[Any]:
        """One multi-service exchange; every tag of it must have succeeded on its own."""
        self._check_owner()
        if self._plc is None:
            raise DriverError("This driver is not open.")
        try:
            tags = getattr(self._plc, verb)(*what)
        except Exception as error:
            raise _as_driver_error(f"The {verb} failed", error) from error
        if len(tags) != len(what):
            raise DriverError(f"{len(tags)} results for {len(what)} tags.")
        for tag in tags:
            if tag.error is not None or tag.value is None:
                raise DriverError(f"{tag.tag}: {tag.error or 'no value'}")
        return list(tags)

    def _register(self, plc: Any) -> None:
        if not plc.open():
            raise DriverError("The PLC refused the session.")  # False, not an exception (P8)
        plc._cfg["use_instance_ids"] = False  # open() sets it (P4)
        wanted = [name for name, _ in STATUS_TAGS.values()] + list(WRITTEN_TAGS)
        names = [tag_name(mailbox, name) for mailbox in self._mailboxes for name in wanted]
        missing = [name for name in names if name not in plc.tags]
        if missing:
            raise DriverError(f"The PLC program has no tag {', '.join(missing)}.")

    def _check_owner(self) -> None:
        if threading.get_ident() != self._owner:
            raise RuntimeError("A PLC driver belongs to the thread that made it (P5).")


def _as_driver_error(what: str, error: Exception) -> DriverError:
    """Keep the sentence of the innermost cause: pycomm3 wraps it two or three times."""
    if isinstance(error, DriverError):
        return error
    sentence = str(error)
    while isinstance(error.__cause__, PycommError):
        error = error.__cause__
        sentence = str(error)
    return DriverError(f"{what}: {sentence}")
