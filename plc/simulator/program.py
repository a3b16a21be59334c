"""The Structured Text of program.st, scanned every 10 ms, and the belt it steers.

Parts enter by a pulse of the part-present sensor, reach the gate some seconds later in the same order and are
routed there by their verdict. A part without a verdict goes to HOLD while the lane has room, else to REJECT: no
part is passed by default.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from plc.simulator.journal import Journal
from plc.simulator.tags import TagTable

PASS, REJECT, HOLD = 1, 2, 3
LANES = {PASS: "PASS", REJECT: "REJECT", HOLD: "HOLD"}
MAX_DINT = 2**31 - 1
HEARTBEAT_LOST_S = 2.0
REMEMBERED = 200  # parts that left, kept so that a late disposition is "too late" and not "unknown"


class PulseError(ValueError):
    """The sensor reported something that cannot be."""


@dataclass(slots=True)
class Part:
    """One part on the belt or in the hold lane."""

    trig_seq: int
    part_id: str
    gate_at: float
    verdict: int = 0
    by: str = ""  # "verdict" or "timeout"
    routed: bool = False
    left: bool = False  # gone from the hold lane, or routed to PASS or REJECT
    known: bool = True  # False: the controller lost its table while the part was on the belt


class StationProgram:
    """One station with its two mailboxes.

    station, late   names of the automatic and of the late mailbox ("S01", "H01")
    hold_capacity   parts the hold lane can take
    gate_s          from the trigger to the gate
    auto_s          how long a part may wait at the gate for its verdict (AutoTmr)
    """

    def __init__(
        self,
        tags: TagTable,
        journal: Journal,
        *,
        station: str,
        late: str,
        hold_capacity: int,
        gate_s: float,
        auto_s: float,
    ) -> None:
        self.station, self.late = station, late
        self.parts: list[Part] = []
        self._tags, self._journal = tags, journal
        self._capacity, self._gate_s, self._auto_s = hold_capacity, gate_s, auto_s
        self.power_up(0.0)

    def power_up(self, now: float) -> None:
        """First scan: what is not retentive starts anew."""
        self._heartbeat_old: int | None = None
        self._heartbeat_at = now
        self._at_gate_since: float | None = None
        self._beat_at = now

    @property
    def hold_free(self) -> int:
        """A verdict HOLD takes its place in the lane at once, so that two parts never get the last one."""
        return max(0, self._capacity - sum(p.verdict == HOLD and not p.left and p.known for p in self.parts))

    def comm_ok(self, now: float) -> bool:
        return now - self._heartbeat_at < HEARTBEAT_LOST_S

    def pulse(self, trig_seq: int, part_id: str, now: float) -> bool:
        """A part interrupts the light beam. False if this very pulse was seen before."""
        if not 1 <= trig_seq <= MAX_DINT or len(part_id) > 82:
            raise PulseError(f"No such pulse: trig_seq {trig_seq}, part_id {part_id!r}.")
        same = self._by_trigger(trig_seq)
        if same is not None and same.part_id == part_id:
            return False
        if same is not None and not same.routed:
            raise PulseError(f"Trigger {trig_seq} is on the belt as part {same.part_id!r}.")
        self.parts.append(Part(trig_seq, part_id, now + self._gate_s))
        self._tags.set_text(f"VIS_{self.station}_TrigPartId", part_id)
        self._tags.set_number(f"VIS_{self.station}_TrigSeq", trig_seq)
        self._journal.note("trigger", station=self.station, trig_seq=trig_seq, part_id=part_id)
        return True

    def scan(self, now: float) -> bool:
        """One pass of the program. True if something happened that must last."""
        self._watch_heartbeat(now)
        changed = self._answer(self.station)
        changed |= self._answer(self.late)
        changed |= self._gate(now)
        for mailbox in (self.station, self.late):
            self._tags.set_number(f"VIS_{mailbox}_HoldFree", self.hold_free)
        if now >= self._beat_at:
            self._beat_at = now + 0.1
            for mailbox in (self.station, self.late):
                beat = self._tags.number(f"VIS_{mailbox}_PlcHb")
                self._tags.set_number(f"VIS_{mailbox}_PlcHb", 1 if beat >= MAX_DINT else beat + 1)
        return changed

    def _watch_heartbeat(self, now: float) -> None:
        beat = self._tags.number(f"VIS_{self.station}_AppHb")
        if beat != self._heartbeat_old:
            self._heartbeat_old, self._heartbeat_at = beat, now

    def _answer(self, mailbox: str) -> bool:
        tags = self._tags
        wanted = tags.number(f"VIS_{mailbox}_DispSeq")
        if wanted == tags.number(f"VIS_{mailbox}_AckSeq"):
            return False
        disposition = tags.disposition(mailbox)
        if not disposition["SeqA"] == disposition["SeqB"] == wanted:
            return False  # torn: wait
        part_id = str(disposition["PartId"])
        code = self._apply(mailbox, disposition)
        self._journal.note(
            "disposition",
            mailbox=mailbox,
            seq=wanted,
            part_id=part_id,
            trig_seq=disposition["TrigSeq"],
            result=disposition["Result"],
            source=disposition["Source"],
            final=disposition["Final"],
            code=code,
        )
        tags.set_number(f"VIS_{mailbox}_AckCode", code)
        tags.set_text(f"VIS_{mailbox}_AckPartId", part_id)
        tags.set_number(f"VIS_{mailbox}_AckSeq", wanted)  # last
        return True

    def _apply(self, mailbox: str, disposition: Mapping[str, Any]) -> int:
        """Return the AckCode: 1 applied, 3 unknown, 4 too late, 6 bad result, 7 not in auto, 8 lane full."""
        result = disposition["Result"]
        if result not in LANES:
            return 6
        if self._tags.number(f"VIS_{mailbox}_Mode") != 1:
            return 7
        if mailbox == self.late:
            return self._apply_late(str(disposition["PartId"]), result)
        part = self._by_trigger(int(disposition["TrigSeq"]))
        if part is None or part.part_id not in ("", disposition["PartId"]):
            return 3
        if part.routed:
            return 4
        if result == HOLD and part.verdict != HOLD and self.hold_free == 0:
            part.verdict, part.by = REJECT, "verdict"
            return 8
        part.part_id = str(disposition["PartId"])
        part.verdict, part.by = result, "verdict"
        return 1

    def _apply_late(self, part_id: str, result: int) -> int:
        part = next((p for p in reversed(self.parts) if p.known and p.part_id == part_id), None)
        if part is None or part.verdict == 0:
            return 3  # not in the hold table
        if part.left or part.verdict != HOLD:
            return 4
        if result != HOLD:
            part.verdict, part.by = result, "verdict"
            if part.routed:
                self._leave(part, source="hold")
        return 1

    def _gate(self, now: float) -> bool:
        """Route the part at the gate; the next one waits behind it."""
        part = next((p for p in self.parts if not p.routed), None)
        if part is None or now < part.gate_at:
            self._at_gate_since = None
            return False
        if self._at_gate_since is None:
            self._at_gate_since = now
        if part.verdict == 0:
            timer_done = now - self._at_gate_since >= self._auto_s
            if not timer_done and self.comm_ok(now):
                return False
            part.verdict, part.by = (
                (HOLD if self.hold_free > 0 else REJECT),
                "timeout",
            )  # never PASS by default
        part.routed = True
        self._at_gate_since = None
        if part.verdict == HOLD:
            self._route(part, source="gate")
        else:
            self._leave(part, source="gate")
        return True

    def _leave(self, part: Part, *, source: str) -> None:
        part.left = True
        self._route(part, source=source)
        gone = [p for p in self.parts if p.left]
        if len(gone) > REMEMBERED:
            self.parts.remove(gone[0])

    def _route(self, part: Part, *, source: str) -> None:
        self._journal.note(
            "routed",
            station=self.station,
            part_id=part.part_id,
            trig_seq=part.trig_seq,
            routed_to=LANES[part.verdict],
            by=part.by,
            source=source,
        )

    def _by_trigger(self, trig_seq: int) -> Part | None:
        return next((p for p in reversed(self.parts) if p.known and p.trig_seq == trig_seq), None)

    def lose_memory(self) -> None:
        """The table is gone; the parts are not. They reach the gate as strangers."""
        self.parts = [p for p in self.parts if not p.left and not (p.routed and p.verdict == HOLD)]
        for part in self.parts:
            part.known, part.verdict = False, 0

    def dump(self, now: float) -> list[dict[str, Any]]:
        return [{**asdict(part), "gate_at": part.gate_at - now} for part in self.parts]

    def load(self, parts: list[dict[str, Any]], now: float) -> None:
        self.parts = [Part(**{**part, "gate_at": part["gate_at"] + now}) for part in parts]
