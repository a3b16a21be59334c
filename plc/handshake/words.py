"""The words of one mailbox: what goes to the PLC, what comes back, what is asked and what is reported."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

MAX_DINT = 2**31 - 1
PART_ID_MAX = 32


class Result(IntEnum):
    """Any other value in the PLC is invalid; nothing stands for "not decided"."""

    PASS = 1
    REJECT = 2
    HOLD = 3


class Source(IntEnum):
    MODEL = 1
    HUMAN = 2
    TIMEOUT = 3
    CHANGED_VERDICT = 4


class AckCode(IntEnum):
    APPLIED = 1
    UNKNOWN_PART = 3
    TOO_LATE = 4
    TORN = 5
    BAD_RESULT = 6
    NOT_IN_AUTO = 7
    HOLD_LANE_FULL = 8


ACK_SENTENCES: Mapping[int, str] = {
    AckCode.APPLIED: "applied",
    AckCode.UNKNOWN_PART: "the PLC does not know this part",
    AckCode.TOO_LATE: "too late, the part had already been routed",
    AckCode.TORN: "the PLC saw a torn disposition",
    AckCode.BAD_RESULT: "the PLC refused the result",
    AckCode.NOT_IN_AUTO: "the station is not in automatic mode",
    AckCode.HOLD_LANE_FULL: "the hold lane is full, the PLC rejects the part",
}


def validate_part_id(part_id: str) -> str:
    """Return the identifier unchanged, or say why no PLC may ever see it (rule 7, hazard P9).

    Raises ValueError unless it is 1 to 32 characters of printable ASCII.
    """
    if not isinstance(part_id, str) or not part_id:
        raise ValueError("A part id must not be empty.")
    if len(part_id) > PART_ID_MAX:
        raise ValueError(f"A part id has at most {PART_ID_MAX} characters; this one has {len(part_id)}.")
    if any(not " " <= character <= "~" for character in part_id):
        raise ValueError(f"A part id holds printable ASCII only, not {part_id!r}.")
    return part_id


@dataclass(frozen=True, slots=True)
class Disposition:
    """One committed row of the outbox, in the words of the UDT VIS_Disp.

    seq           1 .. 2^31-1 within its mailbox, one more than the row before
    trig_seq      the station's trigger counter (0 where the mailbox finds parts by part_id)
    confidence    finite; a part without a finite score carries 0.0 and is no PASS of the model
    former_seqs   numbers this row carried before a re-synchronisation

    Raises ValueError for anything the PLC could misread.
    """

    seq: int
    part_id: str
    trig_seq: int
    result: Result
    source: Source
    final: bool
    reason: int = 0
    confidence: float = 0.0
    model_version: int = 0
    former_seqs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        validate_part_id(self.part_id)
        Result(self.result)
        Source(self.source)
        if not 1 <= self.seq <= MAX_DINT:
            raise ValueError(f"A sequence number lies in 1 .. {MAX_DINT}, not {self.seq}.")
        for name in ("trig_seq", "reason", "model_version"):
            if not 0 <= getattr(self, name) <= MAX_DINT:
                raise ValueError(f"{name} lies in 0 .. {MAX_DINT}, not {getattr(self, name)}.")
        if not math.isfinite(self.confidence) or abs(self.confidence) > 3.4e38:
            raise ValueError(f"confidence must be a finite REAL, not {self.confidence}.")

    def payload(self) -> dict[str, int | float | str]:
        """Every member of VIS_Disp; SeqA and SeqB embrace the rest so that a torn copy shows."""
        return {
            "SeqA": self.seq,
            "PartId": self.part_id,
            "TrigSeq": self.trig_seq,
            "Result": int(self.result),
            "Reason": self.reason,
            "Confidence": float(self.confidence),
            "Source": int(self.source),
            "Final": int(self.final),
            "ModelVer": self.model_version,
            "SeqB": self.seq,
        }

    def renumbered(self, seq: int) -> "Disposition":
        """The same row under another number: allowed in a re-synchronisation only (rule 3)."""
        if seq == self.seq:
            return self
        return replace(self, seq=seq, former_seqs=(*self.former_seqs, self.seq))


@dataclass(frozen=True, slots=True)
class Status:
    """One mailbox as read from the PLC. AckSeq must be read first: the program writes it last."""

    disp_seq: int
    ack_seq: int
    ack_code: int
    ack_part_id: str
    plc_hb: int
    plc_boot: int
    trig_seq: int = 0
    trig_part_id: str = ""
    hold_free: int = 0
    mode: int = 1


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. Tests shorten them; a plant leaves them."""

    ack_s: float = 1.0
    backoff_first_s: float = 0.5
    backoff_max_s: float = 30.0
    poll_s: float = 0.002
    quiet_s: float = 0.25

    def backoff_s(self, failures: int) -> float:
        """0.5, 1, 2 ... 30 s after the first, second, third ... failure in a row."""
        return float(min(self.backoff_max_s, self.backoff_first_s * 2 ** min(failures - 1, 20)))


# What the machine asks for next.


@dataclass(frozen=True, slots=True)
class Read:
    """Read this mailbox's status, then call `received` (or `failed`)."""


@dataclass(frozen=True, slots=True)
class WritePayload:
    """Write VIS_x_Disp with the heartbeat, then call `written` (or `failed`)."""

    item: Disposition


@dataclass(frozen=True, slots=True)
class WriteSeq:
    """Write VIS_x_DispSeq with the heartbeat in a request of its own, then call `written` (or `failed`)."""

    seq: int


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing to do before this moment (infinity: not before the next offer)."""

    at: float


@dataclass(frozen=True, slots=True)
class NewDriver:
    """Close the driver and never use it again, then call `dropped` on every mailbox of the PLC."""


@dataclass(frozen=True, slots=True)
class Resync:
    """Number the unacknowledged rows from `next_seq`, commit that, then call `resynced` with this same plan.

    next_seq   AckSeq + 1: the number of the oldest row that stays unacknowledged, the rest follow in order
    boot       PlcBoot to remember
    resend     the row in flight under its new number; None if there is none or it proved acknowledged
    acked_seq  not None: the row in flight had been answered before the restart; its code is `ack_code`
    """

    next_seq: int
    boot: int
    resend: Disposition | None
    acked_seq: int | None
    ack_code: int


Request = Read | WritePayload | WriteSeq | WaitUntil | NewDriver | Resync


# What the machine reports.


@dataclass(frozen=True, slots=True)
class Acked:
    """The PLC program applied the row. Nothing else is success."""

    mailbox: str
    seq: int
    code: int
    part_id: str
    at: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The PLC program answered with another code: shown to the operator, never retried (rule 4)."""

    mailbox: str
    seq: int
    code: int
    part_id: str
    at: float

    @property
    def text(self) -> str:
        return ACK_SENTENCES.get(self.code, f"unknown answer {self.code} of the PLC")


@dataclass(frozen=True, slots=True)
class Alarm:
    mailbox: str
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class ResyncNeeded:
    """The mailbox has stopped: our numbers and the PLC's disagree, or the PLC was restarted (rule 3)."""

    mailbox: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class LinkDown:
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class LinkUp:
    at: float


Event = Acked | Refused | Alarm | ResyncNeeded | LinkDown | LinkUp
