"""The encapsulation layer of EtherNet/IP (ODVA volume 2, chapter 2): headers and common packet items."""

import struct
from dataclasses import dataclass

HEADER = struct.Struct("<HHII8sI")  # command, length, session, status, sender context, options

LIST_SERVICES = 0x04
LIST_IDENTITY = 0x63
REGISTER_SESSION = 0x65
UNREGISTER_SESSION = 0x66
SEND_RR_DATA = 0x6F
SEND_UNIT_DATA = 0x70

OK = 0x00
UNSUPPORTED_COMMAND = 0x01
BAD_DATA = 0x03
INVALID_SESSION = 0x64
UNSUPPORTED_PROTOCOL = 0x69

NULL_ADDRESS = 0x00
CONNECTED_ADDRESS = 0xA1
CONNECTED_DATA = 0xB1
UNCONNECTED_DATA = 0xB2


@dataclass(frozen=True, slots=True)
class Packet:
    command: int
    session: int
    context: bytes
    body: bytes

    def reply(self, body: bytes = b"", *, status: int = OK, session: int | None = None) -> bytes:
        """The answer to this packet, under the same command, session and sender context."""
        session = self.session if session is None else session
        return HEADER.pack(self.command, len(body), session, status, self.context, 0) + body


@dataclass(frozen=True, slots=True)
class Items:
    """The two items every explicit message carries."""

    address_type: int
    address: bytes
    data_type: int
    data: bytes


def parse_header(head: bytes) -> tuple[int, Packet]:
    """Return the length of the body to come and the packet without it."""
    command, length, session, _, context, _ = HEADER.unpack(head)
    return length, Packet(command, session, context, b"")


def parse_items(body: bytes) -> Items:
    """Raises ValueError on anything but one address and one data item."""
    try:
        if struct.unpack_from("<H", body, 6)[0] != 2:
            raise ValueError("An explicit message carries two items.")
        address_type, address_size = struct.unpack_from("<HH", body, 8)
        data_at = 12 + address_size
        data_type, data_size = struct.unpack_from("<HH", body, data_at)
    except struct.error as error:
        raise ValueError("The packet ends inside its items.") from error
    data = body[data_at + 4 : data_at + 4 + data_size]
    if len(data) != data_size:
        raise ValueError("The packet ends inside its data item.")
    return Items(address_type, body[12:data_at], data_type, data)


def build_items(address_type: int, address: bytes, data_type: int, data: bytes) -> bytes:
    return (
        struct.pack("<IHHHH", 0, 0, 2, address_type, len(address))
        + address
        + struct.pack("<HH", data_type, len(data))
        + data
    )
