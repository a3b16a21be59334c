"""The register map of a PLC over Modbus: what lies where in each mailbox, and how it is written there.

| registers | name       | type   | who writes, and when                                                     |
|-----------|------------|--------|--------------------------------------------------------------------------|
| 0-1       | DispSeq    | int32  | we, last, in a request of its own (function 16)                          |
| 2-3       | Result     | int32  | we, with everything up to 37 in one request (function 16)                |
| 4-5       | Confidence | float  |                                                                          |
| 6-21      | PartId     | text   | two characters a register, unused ones zero                              |
| 22-23     | SeqA       | int32  | SeqA and SeqB equal DispSeq, or the copy is torn and the program waits   |
| 24-25     | TrigSeq    | int32  |                                                                          |
| 26-27     | Reason     | int32  |                                                                          |
| 28-29     | Source     | int32  |                                                                          |
| 30-31     | Final      | int32  |                                                                          |
| 32-33     | ModelVer   | int32  |                                                                          |
| 34-35     | SeqB       | int32  |                                                                          |
| 36-37     | AppHb      | int32  | we, every 500 ms                                                         |
| 100-101   | AckSeq     | int32  | the PLC, last                                                            |
| 102       | AckCode    | int16  | the PLC                                                                  |
| 103-118   | AckPartId  | text   |                                                                          |
| 119-120   | DispSeq    | int32  | the PLC's copy of the number it saw                                      |
| 121-122   | PlcBoot    | int32  |                                                                          |
| 123-124   | PlcHb      | int32  |                                                                          |
| 125-126   | TrigSeq    | int32  |                                                                          |
| 127-142   | TrigPartId | text   |                                                                          |
| 143       | HoldFree   | int16  |                                                                          |
| 144       | Mode       | int16  |                                                                          |

Numbers count from 0 as on the wire (0 is what many manuals call 40001) and are added to the base of the mailbox:
0 for the first mailbox of the PLC, 200 for the second and so on, unless `Registers` says otherwise. Big endian, high
word first, unless `Registers` says otherwise.
"""

import itertools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from plc.handshake import PART_ID_MAX

INT32, INT16, FLOAT, TEXT = "int32", "int16", "float", "text"
LENGTHS = {INT32: 2, INT16: 1, FLOAT: 2, TEXT: PART_ID_MAX // 2}
DISP_SEQ_AT = 0
PAYLOAD_AT = 2
PAYLOAD = {
    "Result": INT32,
    "Confidence": FLOAT,
    "PartId": TEXT,
    "SeqA": INT32,
    "TrigSeq": INT32,
    "Reason": INT32,
    "Source": INT32,
    "Final": INT32,
    "ModelVer": INT32,
    "SeqB": INT32,
}
APP_HB_AT = PAYLOAD_AT + sum(LENGTHS[kind] for kind in PAYLOAD.values())
WRITTEN_LENGTH = APP_HB_AT + LENGTHS[INT32]
STATUS_AT = 100
# In the order of the registers; a device that copies them one by one copies upwards, so AckSeq is the first.
STATUS = {
    "ack_seq": INT32,
    "ack_code": INT16,
    "ack_part_id": TEXT,
    "disp_seq": INT32,
    "plc_boot": INT32,
    "plc_hb": INT32,
    "trig_seq": INT32,
    "trig_part_id": TEXT,
    "hold_free": INT16,
    "mode": INT16,
}
STATUS_LENGTH = sum(LENGTHS[kind] for kind in STATUS.values())
BASE_STEP = 200


@dataclass(frozen=True, slots=True)
class Registers:
    """Where the mailboxes of one PLC lie, and how it writes what is longer than a register.

    unit_id     1 to 247, or 255 for a device that is addressed by its IP alone
    bases       {"S01": 0, "H01": 200}, every mailbox of the PLC; left out, one every 200 registers
    word_order  of 32-bit values: "big" is high word first
    byte_order  of every register, text included: "big" is high byte first

    Raises ValueError for a map that cannot be.
    """

    unit_id: int = 1
    bases: Mapping[str, int] = field(default_factory=dict)
    word_order: str = "big"
    byte_order: str = "big"

    def __post_init__(self) -> None:
        if self.unit_id not in {*range(1, 248), 255}:
            raise ValueError(f"unit_id is 1 to 247, or 255, not {self.unit_id!r} (0 is the broadcast).")
        for name in ("word_order", "byte_order"):
            if getattr(self, name) not in ("big", "little"):
                raise ValueError(f"{name} is 'big' or 'little', not {getattr(self, name)!r}.")
        highest = 65536 - STATUS_AT - STATUS_LENGTH
        if not isinstance(self.bases, Mapping):
            raise ValueError(f"bases gives each mailbox its first register, it is not {self.bases!r}.")  # noqa: TRY004
        for mailbox, base in self.bases.items():
            if type(base) is not int or not 0 <= base <= highest:
                raise ValueError(f"Mailbox {mailbox} begins at a register from 0 to {highest}, not {base!r}.")
        for one, other in itertools.pairwise(sorted(self.bases.values())):
            if other - one < STATUS_AT + STATUS_LENGTH:
                raise ValueError(f"The mailboxes at registers {one} and {other} overlap.")

    def places(self, mailboxes: Sequence[str]) -> dict[str, int]:
        """The first register of each mailbox. Raises ValueError if `bases` forgets one."""
        if not self.bases:
            return {mailbox: index * BASE_STEP for index, mailbox in enumerate(mailboxes)}
        missing = [mailbox for mailbox in mailboxes if mailbox not in self.bases]
        if missing:
            raise ValueError(f"bases does not say where mailbox {', '.join(missing)} begins.")
        return {mailbox: self.bases[mailbox] for mailbox in mailboxes}

    def encode(self, kind: str, value: float | str) -> list[int]:
        if kind == TEXT:
            raw = str(value).encode("ascii").ljust(PART_ID_MAX, b"\0")
        else:
            raw = struct.pack({INT32: ">i", INT16: ">h", FLOAT: ">f"}[kind], value)
        words = list(struct.unpack(f">{len(raw) // 2}H", raw))
        if kind != TEXT and self.word_order == "little":
            words.reverse()
        return [self._turned(word) for word in words]

    def decode(self, kind: str, registers: Sequence[int]) -> int | float | str:
        words = [self._turned(word) for word in registers]
        if kind != TEXT and self.word_order == "little":
            words.reverse()
        raw = struct.pack(f">{len(words)}H", *words)
        if kind == TEXT:
            return raw.partition(b"\0")[0].decode("latin-1")
        value: int | float = struct.unpack({INT32: ">i", INT16: ">h", FLOAT: ">f"}[kind], raw)[0]
        return value

    def _turned(self, word: int) -> int:
        return word if self.byte_order == "big" else (word & 0xFF) << 8 | word >> 8
