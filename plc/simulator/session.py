"""One TCP client of the controller: its session, its CIP connections, and the faults on the way back."""

import random
import socket
import struct
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from plc.simulator import encapsulation as encap
from plc.simulator.cip import IDENTITY_DATA, MULTIPLE_SERVICE, WRITES, Router, answer
from plc.simulator.faults import Fault, Faults

FORWARD_CLOSE, UNCONNECTED_SEND, FORWARD_OPEN, LARGE_FORWARD_OPEN = 0x4E, 0x52, 0x54, 0x5B
CONNECTION_MANAGER = b"\x20\x06\x24\x01"
UNCONNECTED_SIZE = 504
CONNECTION_FAILURE, NO_MORE_CONNECTIONS, CONNECTION_NOT_FOUND = 0x01, 0x0113, 0x0107
REPLY_FAULTS = (
    Fault.DROP_AFTER_WRITE,
    Fault.LOST_REPLY,
    Fault.STALL,
    Fault.PARTIAL_REPLY,
    Fault.SLOW_REPLY,
    Fault.DOUBLE_REPLY,
    Fault.GARBAGE,
    Fault.WRITE_REJECTED,
    Fault.SECOND_WRITE_REJECTED,
)


@dataclass(slots=True)
class Connection:
    """One class-3 connection; it outlives its TCP socket until it is closed or times out."""

    originator_id: int
    target_id: int
    triad: bytes  # connection serial, vendor, originator serial
    size: int
    timeout_s: float
    used_at: float
    sequence: int | None = None
    reply: bytes = b""


class Controller(Protocol):
    """What a session needs of the controller that it belongs to."""

    faults: Faults
    router: Router

    def sleep(self, seconds: float) -> bool: ...
    def writes_rejected(self, *, only_after: int) -> AbstractContextManager[None]: ...
    def connection(self, originator_id: int) -> Connection | None: ...
    def remember_connection(self, connection: Connection) -> None: ...
    def forget_connection(self, triad: bytes) -> bool: ...
    def has_room(self) -> bool: ...


class Session:
    """Serves one TCP connection until either side closes it."""

    def __init__(self, simulator: Controller, client: socket.socket) -> None:
        self._simulator = simulator
        self._client = client
        self._handle = 0

    def serve(self) -> None:
        """Runs in a thread of its own; returns when the connection is over."""
        try:
            while (head := self._exactly(encap.HEADER.size)) is not None:
                length, packet = encap.parse_header(head)
                body = self._exactly(length)
                if body is None or not self._answer(
                    encap.Packet(packet.command, packet.session, packet.context, body)
                ):
                    return
        except (OSError, struct.error, IndexError):
            return  # the client is gone, or talks something else
        finally:
            self._client.close()

    def _exactly(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            part = self._client.recv(size - len(data))
            if not part:
                return None
            data += part
        return data

    def _answer(self, packet: encap.Packet) -> bool:
        """False ends the connection."""
        if packet.command == encap.SEND_UNIT_DATA:
            return self._connected(packet)
        if packet.command == encap.UNREGISTER_SESSION:
            return False
        reply = self._unconnected_command(packet)
        if reply is not None:
            self._client.sendall(reply)
        return True

    def _unconnected_command(self, packet: encap.Packet) -> bytes | None:
        if packet.command == encap.REGISTER_SESSION:
            if self._simulator.faults.take(Fault.NO_SESSION):
                return packet.reply(packet.body, status=encap.BAD_DATA, session=0)
            if packet.body[:2] != b"\x01\x00":
                return packet.reply(b"\x01\x00\x00\x00", status=encap.UNSUPPORTED_PROTOCOL, session=0)
            self._handle = random.randrange(1, 2**31)  # noqa: S311 - a handle, not a secret
            return packet.reply(packet.body, session=self._handle)
        if packet.command == encap.LIST_IDENTITY:
            return packet.reply(_identity_item(self._client))
        if packet.command == encap.LIST_SERVICES:
            service = struct.pack("<HHHHH16s", 1, 0x100, 20, 1, 0x20, b"Communications")
            return packet.reply(service)
        if packet.command != encap.SEND_RR_DATA:
            return packet.reply(status=encap.UNSUPPORTED_COMMAND)
        if packet.session != self._handle or not self._handle:
            return packet.reply(status=encap.INVALID_SESSION)
        try:
            items = encap.parse_items(packet.body)
        except ValueError:
            return packet.reply(status=encap.BAD_DATA)
        data = self._unconnected(items.data)
        if data is None:
            return None
        return packet.reply(encap.build_items(encap.NULL_ADDRESS, b"", encap.UNCONNECTED_DATA, data))

    def _unconnected(self, message: bytes) -> bytes | None:
        service = message[0] if message else 0
        if message[1:6] != b"\x02" + CONNECTION_MANAGER:
            return self._simulator.router.handle(message, UNCONNECTED_SIZE)
        data = message[6:]
        if service == UNCONNECTED_SEND:
            size = struct.unpack_from("<H", data, 2)[0]
            return self._simulator.router.handle(data[4 : 4 + size], UNCONNECTED_SIZE)
        if service in (FORWARD_OPEN, LARGE_FORWARD_OPEN):
            return self._forward_open(service, data)
        if service == FORWARD_CLOSE:
            triad = data[2:10]
            if self._simulator.forget_connection(triad):
                return answer(service, triad + b"\0\0")
            return answer(service, triad + b"\0\0", status=CONNECTION_FAILURE, extended=CONNECTION_NOT_FOUND)
        return answer(service, status=0x08)

    def _forward_open(self, service: int, data: bytes) -> bytes | None:
        faults = self._simulator.faults
        is_large = service == LARGE_FORWARD_OPEN
        refused = faults.take(Fault.FORWARD_OPEN_REFUSED)
        if is_large and refused is None:
            refused = faults.take(Fault.LARGE_FORWARD_OPEN_REFUSED)
        layout = struct.Struct("<BBII8sB3xIIII" if is_large else "<BBII8sB3xIHIH")
        _, _, _, target_id, triad, multiplier, rpi, o_to_t, _, _ = layout.unpack_from(data)
        if refused is not None or not self._simulator.has_room():
            return answer(service, triad + b"\0\0", status=CONNECTION_FAILURE, extended=NO_MORE_CONNECTIONS)
        connection = Connection(
            originator_id=random.randrange(1, 2**31),  # noqa: S311 - an id, not a secret
            target_id=target_id,
            triad=triad,
            size=o_to_t & (0xFFFF if is_large else 0x1FF),
            timeout_s=rpi / 1e6 * 4 * 2 ** min(multiplier, 7),
            used_at=time.monotonic(),
        )
        self._simulator.remember_connection(connection)
        if faults.take(Fault.FORWARD_OPEN_REPLY_LOST):
            return None
        ids = struct.pack("<II", connection.originator_id, target_id)
        return answer(service, ids + triad + struct.pack("<IIBB", rpi, rpi, 0, 0))

    def _connected(self, packet: encap.Packet) -> bool:
        try:
            items = encap.parse_items(packet.body)
        except ValueError:
            self._client.sendall(packet.reply(status=encap.BAD_DATA))
            return True
        found = self._simulator.connection(int.from_bytes(items.address, "little"))
        if packet.session != self._handle or found is None or len(items.data) < 3:
            self._client.sendall(packet.reply(status=encap.INVALID_SESSION))
            return True
        message = items.data[2:]
        fault = self._simulator.faults.take(*REPLY_FAULTS, is_write=_writes(message))
        if fault is not None and fault[0] is Fault.STALL and self._simulator.sleep(fault[1]):
            return False
        sequence = int.from_bytes(items.data[:2], "little")
        found.used_at = time.monotonic()
        # Class 3: a repeated sequence count is a repeated packet; answer as before and execute nothing.
        if sequence != found.sequence:
            found.reply = self._executed(message, found.size, fault)
            found.sequence = sequence
        address = struct.pack("<I", found.target_id)
        data = items.data[:2] + found.reply
        reply = packet.reply(encap.build_items(encap.CONNECTED_ADDRESS, address, encap.CONNECTED_DATA, data))
        return self._sent(reply, fault)

    def _executed(self, message: bytes, size: int, fault: tuple[Fault, float] | None) -> bytes:
        router = self._simulator.router
        if fault is None or fault[0] not in (Fault.WRITE_REJECTED, Fault.SECOND_WRITE_REJECTED):
            return router.handle(message, size - 2)
        with self._simulator.writes_rejected(only_after=1 if fault[0] is Fault.SECOND_WRITE_REJECTED else 0):
            return router.handle(message, size - 2)

    def _sent(self, reply: bytes, fault: tuple[Fault, float] | None) -> bool:
        kind, seconds = fault or (None, 0.0)
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


def _writes(message: bytes) -> bool:
    """Does this request write a tag, alone or inside a multi-service packet?"""
    if not message or message[0] != MULTIPLE_SERVICE:
        return bool(message) and message[0] in WRITES
    try:
        data = message[2 + 2 * message[1] :]
        (count,) = struct.unpack_from("<H", data)
        return any(data[offset] in WRITES for offset in struct.unpack_from(f"<{count}H", data, 2))
    except (struct.error, IndexError):
        return False


def _identity_item(client: socket.socket) -> bytes:
    host, port = client.getsockname()[:2]
    address = struct.pack(">HH4s8x", socket.AF_INET, port, socket.inet_aton(host))
    item = struct.pack("<H", 1) + address + IDENTITY_DATA + b"\x03"
    return struct.pack("<HHH", 1, 0x0C, len(item)) + item
