"""PLCs over Modbus TCP by pymodbus 3.16.1, with a rule for each hazard that was found in it and in devices.

M1 no retries, the library would send a write four times - M2 one connection a driver, the library would silently
open the next - M3 an exception answer is returned, not raised: every answer is asked - M4 function, place and count
of the answer are compared with the request, the library compares none - M5 as many registers as asked for, not fewer
- M6 `CheckedClient` reads one whole reply to this request and nothing else; the library takes the rest of a late
reply for the next header - M7 the whole request is sent, not what fits into the buffer - M8 the time-out is for the
whole reply, and short - M9 limits are kept here: 123 registers a write, 125 a reading - M10 own text conversion: the
library leaves the end of a longer older text, and turns the text round where words are swapped - M11 no broadcast,
nobody answers it - M12 one owner thread - M13 success of a write means that it was taken: the payload is read back
before the number follows - M14 32-bit numbers may be read torn: a status that changed is believed when two readings
agree - M15 nothing here is repeated on failure, the handshake is idempotent by number.
"""

import logging
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ConnectionException

from plc.drivers.driver import DriverError, Payload
from plc.drivers.registers import (
    APP_HB_AT,
    DISP_SEQ_AT,
    INT32,
    LENGTHS,
    PAYLOAD,
    PAYLOAD_AT,
    STATUS,
    STATUS_AT,
    STATUS_LENGTH,
    WRITTEN_LENGTH,
    Registers,
)
from plc.handshake import Status, validate_part_id

# Every failure reaches the caller as DriverError; the library would print frames of its own beside it.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)

MOST_WRITTEN, MOST_READ = 123, 125
EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, still working",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not respond",
}
HEADER = struct.Struct(">HHHB")  # transaction, protocol, length from the unit on, unit
READINGS_AT_MOST = 4


class CheckedClient(ModbusTcpClient):
    """pymodbus' client on a socket that connects once and believes one whole reply to the last request."""

    def __init__(self, host: str, port: int, *, timeout_s: float) -> None:
        super().__init__(host, port=port, timeout=timeout_s, retries=0)  # M1
        self.requests = 0
        self._timeout_s = timeout_s
        self._has_connected = False
        self._asked = b""

    def connect(self) -> bool:
        if self.socket is not None:
            return True
        if self._has_connected:
            return False  # M2
        self._has_connected = True
        super().connect()  # type: ignore[no-untyped-call]
        if self.socket is None:
            return False
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return True

    def send(self, request: bytes, addr: Any = None) -> int:
        """Send all of it (M7). `addr` is the library's and unused."""
        sock = self._open_socket()
        if select.select([sock], [], [], 0)[0]:
            raise ConnectionException("The PLC sent something nobody asked for, or closed the connection.")
        self._asked = bytes(request)
        self.requests += 1
        try:
            sock.settimeout(self._timeout_s)
            sock.sendall(request)
        except OSError as error:
            raise ConnectionException(f"The request could not be sent: {error}") from error
        return len(request)

    def recv(self, size: int | None) -> bytes:
        """Return the whole reply to the last request (M6, M8). `size` is the library's and unused."""
        until = time.monotonic() + self._timeout_s
        head = self._exactly(HEADER.size, until)
        transaction, protocol, length, unit = HEADER.unpack(head)
        asked_transaction, _, _, asked_unit = HEADER.unpack_from(self._asked)
        if protocol != 0 or not 3 <= length <= 254:
            raise ConnectionException("The reply is no Modbus reply.")
        if transaction != asked_transaction:
            raise ConnectionException("The reply carries another transaction id.")
        if unit != asked_unit:
            raise ConnectionException("The reply comes from another unit.")
        body = self._exactly(length - 1, until)
        if body[0] & 0x7F != self._asked[HEADER.size]:
            raise ConnectionException("The reply answers another function.")
        return head + body

    def _exactly(self, size: int, until: float) -> bytes:
        sock = self._open_socket()
        data = b""
        while len(data) < size:
            left_s = until - time.monotonic()
            try:
                sock.settimeout(max(left_s, 1e-6))
                part = sock.recv(size - len(data))
            except TimeoutError as error:
                raise ConnectionException(f"No whole reply within {self._timeout_s:g} s.") from error
            except OSError as error:
                raise ConnectionException(f"The reply broke off: {error}") from error
            if not part:
                raise ConnectionException("The PLC closed the connection instead of a whole reply.")
            data += part
        return data

    def _open_socket(self) -> socket.socket:
        if self.socket is None:
            raise ConnectionException("The socket is closed.")
        return self.socket


class ModbusDriver:
    """A `PlcDriver` for one PLC that is a Modbus TCP server.

    mailboxes  ("S01", "H01") in the order of their bases: their registers must exist, or `open` fails
    timeout_s  for each single exchange, 0.5 to 1 s in a plant
    """

    def __init__(
        self,
        host: str,
        port: int,
        mailboxes: Sequence[str],
        *,
        registers: Registers | None = None,
        timeout_s: float = 0.75,
    ) -> None:
        self._host, self._port = host, port
        self._registers = registers or Registers()
        self._mailboxes = tuple(mailboxes)
        self._bases: dict[str, int] = {}
        self._timeout_s = timeout_s
        self._owner = threading.get_ident()
        self._client: CheckedClient | None = None
        self._seen: dict[str, Status] = {}
        self._is_spent = False

    def open(self) -> None:
        self._check_owner()
        if self._client is not None or self._is_spent:
            raise DriverError("This driver was used before; take a new one.")
        try:
            self._bases = self._registers.places(self._mailboxes)
        except ValueError as error:
            raise self._spent(str(error)) from error
        self._client = CheckedClient(self._host, self._port, timeout_s=self._timeout_s)
        if not self._client.connect():  # False, not an exception
            self.close()
            raise DriverError(f"No connection to the PLC at {self._host}:{self._port}.")
        for base in self._bases.values():
            self._read(base, WRITTEN_LENGTH)
            self._read(base + STATUS_AT, STATUS_LENGTH)

    def close(self) -> None:
        self._is_spent = True
        client, self._client = self._client, None
        if client is not None:
            try:
                client.close()  # type: ignore[no-untyped-call]
            except OSError as error:
                logging.getLogger(__name__).debug("The PLC connection did not close in order: %s", error)

    def read_status(self, mailboxes: Sequence[str]) -> dict[str, Status]:
        return {mailbox: self._status(mailbox) for mailbox in mailboxes}

    def write_payload(self, mailbox: str, payload: Payload, app_hb: int) -> None:
        validate_part_id(str(payload["PartId"]))
        base = self._bases[mailbox]
        registers = [
            word for name, kind in PAYLOAD.items() for word in self._registers.encode(kind, payload[name])
        ]
        self._write(base + PAYLOAD_AT, [*registers, *self._registers.encode(INT32, app_hb)])
        if self._read(base + PAYLOAD_AT, len(registers)) != registers:  # M13
            raise self._spent("The PLC took the payload, but its registers hold something else.")

    def write_seq(self, mailbox: str, seq: int, app_hb: int) -> None:
        """The number alone; the heartbeat has its own request here."""
        self._write(self._bases[mailbox] + DISP_SEQ_AT, self._registers.encode(INT32, seq))

    def write_heartbeat(self, mailboxes: Sequence[str], app_hb: int) -> None:
        for mailbox in mailboxes:
            self._write(self._bases[mailbox] + APP_HB_AT, self._registers.encode(INT32, app_hb))

    def _status(self, mailbox: str) -> Status:
        """Read until two readings agree, or the first agrees with the last time (M14); PlcHb moves by itself."""
        before = self._seen.get(mailbox)
        for _ in range(READINGS_AT_MOST):
            status = self._status_once(mailbox)
            if before is not None and replace(before, plc_hb=status.plc_hb) == status:
                self._seen[mailbox] = status
                return status
            before = status
        raise self._spent(f"{mailbox}: {READINGS_AT_MOST} readings in a row all differ.")

    def _status_once(self, mailbox: str) -> Status:
        words = self._read(self._bases[mailbox] + STATUS_AT, STATUS_LENGTH)
        values: dict[str, Any] = {}
        at = 0
        for name, kind in STATUS.items():
            values[name] = self._registers.decode(kind, words[at : at + LENGTHS[kind]])
            at += LENGTHS[kind]
        return Status(**values)

    def _write(self, address: int, registers: list[int]) -> None:
        if not 1 <= len(registers) <= MOST_WRITTEN:  # M9
            raise self._spent(f"{len(registers)} registers do not fit into one write.")
        answer = self._ask("write_registers", address, registers)
        if (answer.address, answer.count) != (address, len(registers)):  # M4
            raise self._spent(
                f"The PLC says it wrote {answer.count} registers at {answer.address}, not "
                f"{len(registers)} at {address}."
            )

    def _read(self, address: int, count: int) -> list[int]:
        if not 1 <= count <= MOST_READ:  # M9
            raise self._spent(f"{count} registers do not fit into one reading.")
        answer = self._ask("read_holding_registers", address, count=count)
        if len(answer.registers) != count:  # M5
            raise self._spent(f"{len(answer.registers)} registers at {address} came, not {count}.")
        return list(answer.registers)

    def _ask(self, verb: str, address: int, *what: Any, **options: Any) -> Any:
        """One exchange; any doubt spends this driver."""
        self._check_owner()
        if self._client is None:
            raise DriverError("This driver is not open.")
        try:
            answer = getattr(self._client, verb)(address, *what, **options, device_id=self._registers.unit_id)
        except Exception as error:
            raise self._spent(
                f"{verb} at {address} failed: {str(error).removeprefix('Modbus Error: ')}"
            ) from error
        if answer.isError():  # M3
            code = answer.exception_code
            raise self._spent(
                f"{verb} at {address} was refused: {EXCEPTIONS.get(code, f'exception {code}')}."
            )
        return answer

    def _spent(self, sentence: str) -> DriverError:
        self.close()
        return DriverError(sentence)

    def _check_owner(self) -> None:
        if threading.get_ident() != self._owner:
            raise RuntimeError("A PLC driver belongs to the thread that made it (M12).")
