"""The controller's memory: tags, structure templates and the symbol table (Rockwell 1756-PM020)."""

import struct
import threading
from dataclasses import dataclass, field

BOOL, SINT, DINT, REAL = 0xC1, 0xC2, 0xC4, 0xCA
SIZES = {BOOL: 1, SINT: 1, DINT: 4, REAL: 4}
STRUCT_BIT = 0x8000
ARRAY_BIT = 0x2000
STRING_LENGTH = 82


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    type_code: int
    offset: int
    count: int = 0
    template: "Template | None" = None


@dataclass(frozen=True, slots=True)
class Template:
    """A structure: instance of class 0x6C, with the handle that reads and writes carry."""

    instance_id: int
    name: str
    handle: int
    size: int
    members: tuple[Member, ...]

    def definition(self) -> bytes:
        """What service 0x4C of class 0x6C returns: member table, then the names, each ended by a zero byte."""
        table = b"".join(
            struct.pack(
                "<HHI",
                m.count,
                (m.template.instance_id | STRUCT_BIT)
                if m.template
                else m.type_code | (ARRAY_BIT if m.count else 0),
                m.offset,
            )
            for m in self.members
        )
        # Predefined types carry their bare name, user types a ";n" and two letters a member.
        own_name = self.name if self.instance_id > 0xEFF else f"{self.name};n" + "EB" * len(self.members)
        names = b"".join(name.encode() + b"\0" for name in (own_name, *(m.name for m in self.members)))
        return table + names

    def definition_words(self) -> int:
        """Attribute 4: clients ask for 4 n - 23 bytes (PM020), some for two or three more."""
        return (len(self.definition()) + 23 + 3) // 4


STRING = Template(
    instance_id=0xFCE,
    name="ASCIISTRING82",
    handle=0x0FCE,
    size=88,
    members=(Member("LEN", DINT, 0), Member("DATA", SINT, 4, STRING_LENGTH)),
)

DISPOSITION = Template(
    instance_id=0x2A1,
    name="VIS_Disp",
    handle=0x5D15,
    size=124,
    members=(
        Member("SeqA", DINT, 0),
        Member("PartId", 0, 4, template=STRING),
        Member("TrigSeq", DINT, 92),
        Member("Result", DINT, 96),
        Member("Reason", DINT, 100),
        Member("Confidence", REAL, 104),
        Member("Source", DINT, 108),
        Member("Final", DINT, 112),
        Member("ModelVer", DINT, 116),
        Member("SeqB", DINT, 120),
    ),
)


@dataclass(slots=True)
class Tag:
    name: str
    type_code: int
    instance_id: int
    template: Template | None = None
    count: int = 0
    data: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.data = bytearray(self.element_size * max(1, self.count))

    @property
    def element_size(self) -> int:
        return self.template.size if self.template else SIZES.get(self.type_code, 0)

    @property
    def symbol_type(self) -> int:
        kind = (self.template.instance_id | STRUCT_BIT) if self.template else self.type_code
        return kind | (ARRAY_BIT if self.count else 0)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads: a run of equal elements inside one tag."""

    tag: Tag
    offset: int
    type_code: int
    template: Template | None
    elements: int

    @property
    def element_size(self) -> int:
        return self.template.size if self.template else SIZES[self.type_code]


class TagTable:
    """All tags of the controller. Hold `lock` for one service, never for a whole multi-service packet (P6)."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.by_name: dict[str, Tag] = {}
        self.by_instance: dict[int, Tag] = {}
        self.templates = {t.instance_id: t for t in (STRING, DISPOSITION)}

    def add(
        self, name: str, type_code: int = DINT, *, template: Template | None = None, count: int = 0
    ) -> Tag:
        tag = Tag(name, type_code, len(self.by_name) + 1, template, count)
        self.by_name[name.lower()] = tag
        self.by_instance[tag.instance_id] = tag
        return tag

    def add_mailbox(self, mailbox: str) -> None:
        """The tags of one mailbox as program.st lists them."""
        self.add(f"VIS_{mailbox}_Disp", 0, template=DISPOSITION)
        for name in (
            "DispSeq",
            "AppHb",
            "AckSeq",
            "AckCode",
            "PlcHb",
            "PlcBoot",
            "TrigSeq",
            "HoldFree",
            "Mode",
        ):
            self.add(f"VIS_{mailbox}_{name}")
        for name in ("AckPartId", "TrigPartId"):
            self.add(f"VIS_{mailbox}_{name}", 0, template=STRING)

    def renumber(self) -> None:
        """What a program download does: the same names under other instance ids."""
        with self.lock:
            tags = list(self.by_instance.values())
            ids = sorted(self.by_instance)
            self.by_instance = dict(zip(ids, tags[-1:] + tags[:-1], strict=True))
            for instance_id, tag in self.by_instance.items():
                tag.instance_id = instance_id

    def number(self, name: str) -> int:
        return int(struct.unpack_from("<i", self.by_name[name.lower()].data)[0])

    def set_number(self, name: str, value: int) -> None:
        struct.pack_into("<i", self.by_name[name.lower()].data, 0, value)

    def text(self, name: str) -> str:
        return decode_string(bytes(self.by_name[name.lower()].data))

    def set_text(self, name: str, value: str) -> None:
        self.by_name[name.lower()].data[:] = encode_string(value)

    def disposition(self, mailbox: str) -> dict[str, int | float | str]:
        """CPS of the UDT: one consistent copy."""
        data = bytes(self.by_name[f"vis_{mailbox.lower()}_disp"].data)
        copy: dict[str, int | float | str] = {}
        for member in DISPOSITION.members:
            if member.template is STRING:
                copy[member.name] = decode_string(data[member.offset : member.offset + STRING.size])
            else:
                copy[member.name] = struct.unpack_from(
                    "<f" if member.type_code == REAL else "<i", data, member.offset
                )[0]
        return copy

    def dump(self) -> dict[str, str]:
        """Every tag's bytes: controller tags are retentive."""
        return {tag.name: tag.data.hex() for tag in self.by_name.values()}

    def load(self, dump: dict[str, str]) -> None:
        for name, value in dump.items():
            tag = self.by_name.get(name.lower())
            if tag is not None and len(value) == 2 * len(tag.data):
                tag.data[:] = bytes.fromhex(value)

    def clear(self) -> None:
        for tag in self.by_name.values():
            tag.data[:] = bytes(len(tag.data))


def encode_string(value: str) -> bytes:
    raw = value.encode("latin-1")[:STRING_LENGTH]
    return struct.pack("<i", len(raw)) + raw.ljust(STRING.size - 4, b"\0")


def decode_string(data: bytes) -> str:
    length = max(0, min(STRING_LENGTH, struct.unpack_from("<i", data)[0]))
    return data[4 : 4 + length].decode("latin-1")
