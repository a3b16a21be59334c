"""The controller as a Modbus TCP server: the same tags as registers, the same faults, functions 3, 4, 6 and 16.

Written after the Modbus Application Protocol V1.1b3 and the TCP implementation guide V1.0b, and not after our
driver: the table below is what a plant would program.
"""

import ipaddress
import random
import socket
import struct
from dataclasses import dataclass
from typing import Any

from plc.simulator.controller import Controller
from plc.simulator.faults import AT_ONCE, Fault
from plc.simulator.tags import DISPOSITION

READ_HOLDING, READ_INPUT, WRITE_ONE, WRITE_MANY = 3, 4, 6, 16
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE, NO_TARGET = 1, 2, 3, 4, 11
UNIT = 1
MAILBOX_STEP = 200
FIRST_READ_ONLY = 100
TEXT_BYTES = 32
HEADER = struct.Struct(">HHHB")
REPLY_FAULTS = (
    Fault.DROP_AFTER_WRITE,
    Fault.LOST_REPLY,
    Fault.STALL,
    Fault.PARTIAL_REPLY,
    Fault.WRITE_REJECTED,
    Fault.SLOW_REPLY,
    Fault.DOUBLE_REPLY,
    Fault.GARBAGE,
)
FAULTS = AT_ONCE | {*REPLY_FAULTS, Fault.NO_SESSION}


@dataclass(frozen=True, slots=True)
class Field:
    """One tag, or one member of VIS_x_Disp, as registers; offsets count from the base of its mailbox."""

    offset: int
    kind: str  # "long" two registers, "short" one, "text" sixteen
    tag: str
    member: str = ""

    @property
    def length(self) -> int:
        return {"long": 2, "short": 1, "text": TEXT_BYTES // 2}[self.kind]


FIELDS = (
    Field(0, "long", "DispSeq"),
    Field(2, "long", "Disp", "Result"),
    Field(4, "long", "Disp", "Confidence"),
    Field(6, "text", "Disp", "PartId"),
    Field(22, "long", "Disp", "SeqA"),
    Field(24, "long", "Disp", "TrigSeq"),
    Field(26, "long", "Disp", "Reason"),
    Field(28, "long", "Disp", "Source"),
    Field(30, "long", "Disp", "Final"),
    Field(32, "long", "Disp", "ModelVer"),
    Field(34, "long", "Disp", "SeqB"),
    Field(36, "long", "AppHb"),
    Field(100, "long", "AckSeq"),
    Field(102, "short", "AckCode"),
    Field(103, "text", "AckPartId"),
    Field(119, "long", "DispSeq"),  # the program's copy
    Field(121, "long", "PlcBoot"),
    Field(123, "long", "PlcHb"),
    Field(125, "long", "TrigSeq"),
    Field(127, "text", "TrigPartId"),
    Field(143, "short", "HoldFree"),
    Field(144, "short", "Mode"),
)
MEMBER_AT = {member.name: member.offset for member in DISPOSITION.members}


class ModbusExceptionError(Exception):
    """A refusal with its exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code}")
        self.code = code


class ModbusSimulator(Controller):
    """A `Controller` that speaks Modbus TCP as unit 1, on this machine only: the protocol asks for no password.

    The first mailbox begins at register 0, the next at 200 and so on, each station's automatic one before its late one.
    Registers in a gap are refused if strict, else they read as zero and swallow what is written.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(f"The simulated Modbus PLC serves this machine only, not {self.host}.")
        self.unit = UNIT
        self._places = {
            place * MAILBOX_STEP + field.offset + index: (mailbox, field, index)
            for place, mailbox in enumerate(self._mailboxes)
            for field in FIELDS
            for index in range(field.length)
        }

    def _open_port(self) -> None:
        self._listener = self._listen(self.port)
        self.port = self._listener.getsockname()[1]

    def _serve(self) -> None:
        self._spawn(self._accept_forever, self._listener, self._clients, self._serve_modbus)

    def _serve_modbus(self, client: socket.socket) -> None:
        if not self.faults.take(Fault.NO_SESSION):
            ModbusSession(self, client).serve()
        client.close()
        self._clients.discard(client)

    def _drop_clients(self) -> None:
        self._wake(list(self._clients))

    def _close_port(self) -> None:
        """Its listener and its clients are ours like the sensor wire's: `stop` wakes and closes them all."""

    @property
    def connections(self) -> int:
        return len(self._clients)

    def fault(self, fault: Fault | str, **options: Any) -> None:
        if Fault(fault) not in FAULTS:
            raise ValueError(f"{Fault(fault)} cannot happen over Modbus.")
        super().fault(fault, **options)

    # registers

    def read(self, address: int, count: int) -> list[int]:
        """Raises ModbusExceptionError."""
        with self.tags.lock:
            return [self._register(address + index) for index in range(count)]

    def write(self, address: int, registers: list[int]) -> None:
        """All of them or none. Raises ModbusExceptionError."""
        with self.tags.lock:
            numbers = range(address, address + len(registers))
            places = [self._place(number) for number in numbers]
            if any(number % MAILBOX_STEP >= FIRST_READ_ONLY for number in numbers):
                raise ModbusExceptionError(ILLEGAL_ADDRESS)
            for place, register in zip(places, registers, strict=True):
                if place is not None:
                    mailbox, field, index = place
                    raw = bytearray(self._raw(mailbox, field))
                    raw[2 * index : 2 * index + 2] = register.to_bytes(2, "big")
                    self._keep(mailbox, field, bytes(raw))

    def _register(self, number: int) -> int:
        place = self._place(number)
        if place is None:
            return 0
        mailbox, field, index = place
        return int.from_bytes(self._raw(mailbox, field)[2 * index : 2 * index + 2], "big")

    def _place(self, number: int) -> tuple[str, Field, int] | None:
        """Mailbox, field and register within the field; None in a gap that a lenient device has."""
        place = self._places.get(number)
        if place is None and self.strict:
            raise ModbusExceptionError(ILLEGAL_ADDRESS)
        return place

    def _raw(self, mailbox: str, field: Field) -> bytes:
        """As in the registers: high byte first."""
        data, at = self._memory(mailbox, field)
        if field.kind == "text":
            length = min(TEXT_BYTES, struct.unpack_from("<i", data, at)[0])
            return bytes(data[at + 4 : at + 4 + length]).ljust(TEXT_BYTES, b"\0")
        return bytes(data[at : at + 4])[::-1][-2 * field.length :]

    def _keep(self, mailbox: str, field: Field, raw: bytes) -> None:
        data, at = self._memory(mailbox, field)
        if field.kind == "text":
            text = raw.partition(b"\0")[0]
            data[at : at + 4] = struct.pack("<i", len(text))
            data[at + 4 : at + 4 + TEXT_BYTES] = raw
        else:
            data[at : at + 4] = raw[::-1]

    def _memory(self, mailbox: str, field: Field) -> tuple[bytearray, int]:
        tag = self.tags.by_name[f"vis_{mailbox}_{field.tag}".lower()]
        return tag.data, MEMBER_AT[field.member] if field.member else 0


class ModbusSession:
    """Serves one TCP connection until either side closes it."""

    def __init__(self, simulator: ModbusSimulator, client: socket.socket) -> None:
        self._simulator = simulator
        self._client = client

    def serve(self) -> None:
        try:
            while head := self._exactly(HEADER.size):
                transaction, protocol, length, unit = HEADER.unpack(head)
                body = self._exactly(length - 1) if 2 <= length <= 254 else None
                if protocol != 0 or not body or not self._answer(transaction, unit, body):
                    return
        except OSError:
            return  # the client is gone

    def _exactly(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            part = self._client.recv(size - len(data))
            if not part:
                return None
            data += part
        return data

    def _answer(self, transaction: int, unit: int, body: bytes) -> bool:
        """False ends the connection."""
        is_write = body[0] in (WRITE_ONE, WRITE_MANY)
        kind, seconds = self._simulator.faults.take(*REPLY_FAULTS, is_write=is_write) or (None, 0.0)
        if kind is Fault.STALL and self._simulator.sleep(seconds):
            return False
        try:
            answer = self._executed(unit, body, is_rejected=kind is Fault.WRITE_REJECTED)
        except ModbusExceptionError as refusal:
            answer = bytes([body[0] | 0x80, refusal.code])
        return self._sent(HEADER.pack(transaction, 0, len(answer) + 1, unit) + answer, kind, seconds)

    def _executed(self, unit: int, body: bytes, *, is_rejected: bool) -> bytes:
        if is_rejected:
            raise ModbusExceptionError(DEVICE_FAILURE)
        if unit != self._simulator.unit:
            raise ModbusExceptionError(NO_TARGET)
        if body[0] not in (READ_HOLDING, READ_INPUT, WRITE_ONE, WRITE_MANY):
            raise ModbusExceptionError(ILLEGAL_FUNCTION)
        if len(body) < 5:
            raise ModbusExceptionError(ILLEGAL_VALUE)
        function, address, count = struct.unpack_from(">BHH", body)
        if function == WRITE_ONE:
            self._simulator.write(address, [count])
            return body[:5]
        if function == WRITE_MANY:
            if not 1 <= count <= 123 or len(body) != 6 + 2 * count or body[5] != 2 * count:
                raise ModbusExceptionError(ILLEGAL_VALUE)
            self._simulator.write(address, list(struct.unpack_from(f">{count}H", body, 6)))
            return body[:5]
        if not 1 <= count <= 125:
            raise ModbusExceptionError(ILLEGAL_VALUE)
        return struct.pack(f">BB{count}H", function, 2 * count, *self._simulator.read(address, count))

    def _sent(self, reply: bytes, kind: Fault | None, seconds: float) -> bool:
        if kind is Fault.DROP_AFTER_WRITE:
            return False
        if kind is Fault.LOST_REPLY:
            return True
        if kind is Fault.PARTIAL_REPLY:
            self._client.sendall(reply[: len(reply) // 2])
            return False
        if kind is Fault.GARBAGE:
            self._client.sendall(random.randbytes(len(reply)))  # noqa: S311 - noise
            return True
        if kind is Fault.SLOW_REPLY and self._simulator.sleep(seconds):
            return False
        self._client.sendall(reply * 2 if kind is Fault.DOUBLE_REPLY else reply)
        return True
