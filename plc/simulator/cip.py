"""CIP message router and Logix tag services (ODVA volume 1; Rockwell 1756-PM020)."""

import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from plc.simulator.tags import Place, Tag, TagTable

GET_ATTRIBUTES_ALL, GET_ATTRIBUTE_LIST = 0x01, 0x03
MULTIPLE_SERVICE = 0x0A
READ, WRITE, READ_MODIFY_WRITE = 0x4C, 0x4D, 0x4E
READ_FRAGMENTED, WRITE_FRAGMENTED = 0x52, 0x53
INSTANCE_ATTRIBUTE_LIST = 0x55
WRITES = (WRITE, READ_MODIFY_WRITE, WRITE_FRAGMENTED)

IDENTITY, MESSAGE_ROUTER, PROGRAM_NAME, SYMBOL, TEMPLATE = 0x01, 0x02, 0x64, 0x6B, 0x6C

OK, PATH_UNKNOWN, MORE_DATA, NOT_SUPPORTED = 0x00, 0x05, 0x06, 0x08
REPLY_TOO_LARGE, NOT_ENOUGH_DATA, ATTRIBUTE_UNKNOWN, TOO_MUCH_DATA = 0x11, 0x13, 0x14, 0x15
EMBEDDED_ERROR, PATH_SIZE, GENERAL = 0x1E, 0x26, 0xFF
BEYOND_END, TYPE_MISMATCH = 0x2105, 0x2107

VENDOR, PRODUCT_TYPE, PRODUCT_CODE, REVISION, SERIAL = 1, 14, 166, (33, 11), 0x5EC02D1A
PRODUCT_NAME = b"1756-L83E/B"
IDENTITY_DATA = (
    struct.pack("<HHHBBHI", VENDOR, PRODUCT_TYPE, PRODUCT_CODE, *REVISION, 0x3160, SERIAL)
    + bytes([len(PRODUCT_NAME)])
    + PRODUCT_NAME
)


class CipError(Exception):
    """A refusal with its CIP status words."""

    def __init__(self, status: int, extended: int | None = None) -> None:
        super().__init__(f"CIP status 0x{status:02X}")
        self.status = status
        self.extended = extended


@dataclass(slots=True)
class Path:
    class_id: int | None = None
    instance_id: int | None = None
    steps: list[str | int] = field(default_factory=list)  # symbol names and element numbers, in order


@dataclass(frozen=True, slots=True)
class Request:
    service: int
    path: bytes
    data: bytes


def parse_request(message: bytes) -> Request:
    if len(message) < 2 or len(message) < 2 + 2 * message[1]:
        raise CipError(PATH_SIZE)
    end = 2 + 2 * message[1]
    return Request(message[0], message[2:end], message[end:])


def parse_path(raw: bytes) -> Path:
    """Symbolic (0x91), class, instance and element segments of 8, 16 and 32 bits."""
    path, at = Path(), 0
    try:
        while at < len(raw):
            kind = raw[at]
            if kind == 0x91:
                size = raw[at + 1]
                path.steps.append(raw[at + 2 : at + 2 + size].decode("ascii"))
                at += 2 + size + size % 2
                continue
            width, at = {0: (1, at + 1), 1: (2, at + 2), 2: (4, at + 2)}[kind & 0x03]
            value = int.from_bytes(raw[at : at + width], "little")
            at += width
            if kind & 0xFC == 0x20:
                path.class_id = value
            elif kind & 0xFC == 0x24:
                path.instance_id = value
            elif kind & 0xFC == 0x28:
                path.steps.append(value)
            else:
                raise CipError(PATH_UNKNOWN)
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise CipError(PATH_SIZE) from error
    return path


def answer(service: int, data: bytes = b"", *, status: int = OK, extended: int | None = None) -> bytes:
    words = b"" if extended is None else struct.pack("<H", extended)
    return bytes([service | 0x80, 0, status, len(words) // 2]) + words + data


class Router:
    """Answers one CIP request after another.

    strict       bytes left over after a well-formed request are answered 0x15, as Logix does
    before       called with (service, tag) before each single tag service; may raise CipError (faults)
    """

    def __init__(
        self, tags: TagTable, *, strict: bool = True, before: Callable[[int, str], None] | None = None
    ) -> None:
        self._tags = tags
        self._strict = strict
        self._before = before

    def handle(self, message: bytes, size: int, *, is_inner: bool = False) -> bytes:
        """Answer one request in at most `size` bytes. Multi-service packets do not nest."""
        service = message[0] if message else 0
        try:
            request = parse_request(message)
            path = parse_path(request.path)
            if service == MULTIPLE_SERVICE and path.class_id == MESSAGE_ROUTER and not is_inner:
                return self._multiple(request.data, size)
            if path.steps or path.class_id == SYMBOL:
                return self._symbol(request, path, size - 4)
            return self._object(request, path, size - 4)
        except CipError as error:
            return answer(service, status=error.status, extended=error.extended)
        except struct.error:
            return answer(service, status=NOT_ENOUGH_DATA)

    def _multiple(self, data: bytes, size: int) -> bytes:
        """Service 0x0A: each inner request on its own; the packet as a whole is not atomic."""
        (count,) = struct.unpack_from("<H", data)
        offsets = [*struct.unpack_from(f"<{count}H", data, 2), len(data)]
        left = size - 6 - 2 * count
        replies = []
        for start, end in itertools.pairwise(offsets):
            reply = self.handle(data[start:end], left, is_inner=True)
            if len(reply) > left:
                reply = answer(reply[0], status=REPLY_TOO_LARGE)
            left -= len(reply)
            replies.append(reply)
        at, table = 2 + 2 * count, []
        for reply in replies:
            table.append(at)
            at += len(reply)
        status = OK if all(reply[2] == OK for reply in replies) else EMBEDDED_ERROR
        body = struct.pack(f"<H{count}H", count, *table) + b"".join(replies)
        return answer(MULTIPLE_SERVICE, body, status=status)

    def _object(self, request: Request, path: Path, size: int) -> bytes:
        where = (path.class_id, path.instance_id, request.service)
        if where == (IDENTITY, 1, GET_ATTRIBUTES_ALL):
            return answer(request.service, IDENTITY_DATA)
        if where == (PROGRAM_NAME, 1, GET_ATTRIBUTES_ALL):
            name = b"SecondLook"
            return answer(request.service, struct.pack("<H", len(name)) + name)
        if path.class_id == TEMPLATE:
            return self._template(request, path, size)
        raise CipError(
            NOT_SUPPORTED if path.class_id in (IDENTITY, PROGRAM_NAME, MESSAGE_ROUTER) else PATH_UNKNOWN
        )

    def _template(self, request: Request, path: Path, size: int) -> bytes:
        template = self._tags.templates.get(path.instance_id or 0)
        if template is None:
            raise CipError(PATH_UNKNOWN)
        if request.service == READ:
            offset, wanted = struct.unpack_from("<IH", request.data)
            padded = template.definition().ljust(4 * template.definition_words() - 20, b"\0")
            part = padded[offset : offset + min(wanted, size)]
            more = offset + len(part) < min(offset + wanted, len(padded))
            return answer(request.service, part, status=MORE_DATA if more else OK)
        if request.service != GET_ATTRIBUTE_LIST:
            raise CipError(NOT_SUPPORTED)
        (count,) = struct.unpack_from("<H", request.data)
        values = {
            1: struct.pack("<H", template.handle),
            2: struct.pack("<H", len(template.members)),
            3: struct.pack("<H", 0),
            4: struct.pack("<I", template.definition_words()),
            5: struct.pack("<I", template.size),
        }
        body = struct.pack("<H", count)
        for attribute in struct.unpack_from(f"<{count}H", request.data, 2):
            known = attribute in values
            body += struct.pack("<HH", attribute, OK if known else ATTRIBUTE_UNKNOWN) + values.get(
                attribute, b""
            )
        return answer(request.service, body)

    def _symbol(self, request: Request, path: Path, size: int) -> bytes:
        if request.service == INSTANCE_ATTRIBUTE_LIST:
            if path.steps:
                raise CipError(PATH_UNKNOWN)  # no program-scoped tags here
            return self._symbol_list(request, path.instance_id or 0, size)
        with self._tags.lock:
            place = self._resolve(path)
            if self._before is not None:
                self._before(request.service, place.tag.name)
            serve = {
                READ: self._read,
                READ_FRAGMENTED: self._read_fragmented,
                WRITE: self._write,
                WRITE_FRAGMENTED: self._write_fragmented,
                READ_MODIFY_WRITE: self._read_modify_write,
            }.get(request.service)
            if serve is None:
                raise CipError(NOT_SUPPORTED)
            return serve(request, place, size)

    def _symbol_list(self, request: Request, start: int, size: int) -> bytes:
        """Service 0x55, paged by status 6: the client goes on after the last instance it got."""
        (count,) = struct.unpack_from("<H", request.data)
        attributes = struct.unpack_from(f"<{count}H", request.data, 2)
        body = b""
        with self._tags.lock:
            for instance_id in sorted(i for i in self._tags.by_instance if i >= start):
                entry = _symbol_entry(self._tags.by_instance[instance_id], attributes)
                if len(body) + len(entry) > size:
                    return answer(request.service, body, status=MORE_DATA)
                body += entry
        return answer(request.service, body)

    def _resolve(self, path: Path) -> Place:
        steps = list(path.steps)
        if path.class_id == SYMBOL:
            tag = self._tags.by_instance.get(path.instance_id or 0)
        else:
            tag = self._tags.by_name.get(str(steps.pop(0)).lower())
        if tag is None:
            raise CipError(PATH_UNKNOWN)
        place = Place(tag, 0, tag.type_code, tag.template, max(1, tag.count))
        for step in steps:
            place = _element(place, step) if isinstance(step, int) else _member(place, step)
        return place

    def _read(self, request: Request, place: Place, size: int) -> bytes:
        (count,) = struct.unpack_from("<H", request.data)
        self._no_more_than(request.data, 2)
        return self._run(request.service, place, count, 0, size)

    def _read_fragmented(self, request: Request, place: Place, size: int) -> bytes:
        count, offset = struct.unpack_from("<HI", request.data)
        self._no_more_than(request.data, 6)
        return self._run(request.service, place, count, offset, size)

    def _run(self, service: int, place: Place, count: int, offset: int, size: int) -> bytes:
        total = count * place.element_size
        if count > place.elements or (total and offset >= total):
            raise CipError(GENERAL, BEYOND_END)
        head = _type_words(place)
        fit = size - len(head)
        part = bytes(place.tag.data[place.offset + offset : place.offset + total])
        if len(part) <= fit:
            return answer(service, head + part)
        return answer(service, head + part[: fit - fit % 4], status=MORE_DATA)

    def _write(self, request: Request, place: Place, size: int) -> bytes:
        count, value = self._typed(request.data, place)
        total = count * place.element_size
        if len(value) < total:
            raise CipError(NOT_ENOUGH_DATA)
        self._no_more_than(value, total)
        if count > place.elements:
            raise CipError(GENERAL, BEYOND_END)
        place.tag.data[place.offset : place.offset + total] = value[:total]
        return answer(request.service)

    def _write_fragmented(self, request: Request, place: Place, size: int) -> bytes:
        count, value = self._typed(request.data, place)
        (offset,) = struct.unpack_from("<I", value)
        value = value[4:]
        if count > place.elements or offset + len(value) > count * place.element_size:
            raise CipError(GENERAL, BEYOND_END)
        place.tag.data[place.offset + offset : place.offset + offset + len(value)] = value
        return answer(request.service)

    def _read_modify_write(self, request: Request, place: Place, size: int) -> bytes:
        (width,) = struct.unpack_from("<H", request.data)
        if place.template is not None or width != place.element_size:
            raise CipError(GENERAL, TYPE_MISMATCH)
        if len(request.data) < 2 + 2 * width:
            raise CipError(NOT_ENOUGH_DATA)
        self._no_more_than(request.data, 2 + 2 * width)
        or_mask, and_mask = request.data[2 : 2 + width], request.data[2 + width : 2 + 2 * width]
        for i in range(width):
            at = place.offset + i
            place.tag.data[at] = (place.tag.data[at] | or_mask[i]) & and_mask[i]
        return answer(request.service)

    def _typed(self, data: bytes, place: Place) -> tuple[int, bytes]:
        """Split a write into its element count and the rest, after checking the type words."""
        head = _type_words(place)
        if len(data) < len(head) + 2:
            raise CipError(NOT_ENOUGH_DATA)
        if data[: len(head)] != head:
            raise CipError(GENERAL, TYPE_MISMATCH)
        return struct.unpack_from("<H", data, len(head))[0], data[len(head) + 2 :]

    def _no_more_than(self, data: bytes, size: int) -> None:
        if self._strict and len(data) > size:
            raise CipError(TOO_MUCH_DATA)


def _type_words(place: Place) -> bytes:
    if place.template is not None:
        return struct.pack("<HH", 0x02A0, place.template.handle)
    return struct.pack("<H", place.type_code)


def _member(place: Place, name: str) -> Place:
    for member in place.template.members if place.template else ():
        if member.name.lower() == name.lower():
            offset = place.offset + member.offset
            return Place(place.tag, offset, member.type_code, member.template, max(1, member.count))
    raise CipError(PATH_UNKNOWN)


def _element(place: Place, index: int) -> Place:
    if index >= place.elements:
        raise CipError(GENERAL, BEYOND_END)
    offset = place.offset + index * place.element_size
    return Place(place.tag, offset, place.type_code, place.template, place.elements - index)


def _symbol_entry(tag: Tag, attributes: tuple[int, ...]) -> bytes:
    name = tag.name.encode("ascii")
    values = {
        1: struct.pack("<H", len(name)) + name,
        2: struct.pack("<H", tag.symbol_type),
        3: struct.pack("<I", tag.instance_id * 64),
        5: struct.pack("<I", tag.instance_id * 64),
        6: struct.pack("<I", 1 << 26),  # a base tag, no alias
        8: struct.pack("<III", tag.count, 0, 0),
        10: b"\x00",  # external access: read and write
    }
    if any(attribute not in values for attribute in attributes):
        raise CipError(ATTRIBUTE_UNKNOWN)
    return struct.pack("<I", tag.instance_id) + b"".join(values[attribute] for attribute in attributes)
