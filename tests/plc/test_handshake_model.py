"""The mailbox against a tiny model of the PLC that loses, repeats and delays messages and loses its power.

Whatever happens: a disposition is applied once, in order, and never with another result than was committed.
"""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plc.handshake import (
    Acked,
    Disposition,
    Mailbox,
    NewDriver,
    Read,
    Refused,
    Result,
    Resync,
    Source,
    State,
    Status,
    Timing,
    WaitUntil,
    WritePayload,
    WriteSeq,
)


class ModelPlc:
    """The Structured Text of the handshake without bytes.

    only_next  take a number only if it is AckSeq + 1: stricter than the program of program.st
    """

    def __init__(self, *, only_next=False):
        self.only_next = only_next
        self.boot = 1
        self.parts = set()
        self.applied = []
        self.wipe()

    def wipe(self):
        self.payload, self.disp_seq, self.ack_seq, self.ack_code, self.ack_part_id = None, 0, 0, 0, ""
        self.parts.clear()

    def write(self, request):
        if isinstance(request, WritePayload):
            self.payload = request.item.payload()
        else:
            self.disp_seq = request.seq

    def scan(self):
        if self.disp_seq == self.ack_seq or self.payload is None:
            return
        if self.only_next and self.disp_seq != self.ack_seq + 1:
            return
        if not self.payload["SeqA"] == self.payload["SeqB"] == self.disp_seq:
            return
        part_id = self.payload["PartId"]
        self.ack_code = 1 if part_id in self.parts else 3
        if self.ack_code == 1:
            self.applied.append((part_id, self.payload["Result"]))
        self.ack_part_id, self.ack_seq = part_id, self.disp_seq

    def status(self):
        return Status(self.disp_seq, self.ack_seq, self.ack_code, self.ack_part_id, 0, self.boot)


class Handshake(RuleBasedStateMachine):
    most_late = 1
    only_next = False

    @initialize()
    def power_up(self):
        self.plc = ModelPlc(only_next=self.only_next)
        self.now = 0.0
        self.box = Mailbox("S01", next_seq=1, boot=None, timing=Timing(quiet_s=0.05, poll_s=0.2))
        self.committed = []
        self.outbox = []
        self.answered = []
        self.late = []
        self.memory_was_lost = False

    @rule(result=st.sampled_from(Result))
    def commit(self, result):
        part_id = f"P-{len(self.committed)}"
        self.committed.append((part_id, int(result)))
        self.plc.parts.add(part_id)
        self.outbox.append((part_id, result))

    @rule(outcome=st.sampled_from(["arrives", "arrives", "arrives", "lost", "reply lost", "late", "twice"]))
    def pump(self, outcome):
        if self.box.state is State.IDLE and self.outbox:
            part_id, result = self.outbox[0]
            seq = self.box.last_acked + 1
            self.box.offer(Disposition(seq, part_id, seq, result, Source.MODEL, final=True), self.now)
        self.note(self.box.passed(self.now))
        request = self.box.next_request(self.now)
        if isinstance(request, NewDriver):
            self.box.dropped(self.now)
        elif isinstance(request, WaitUntil):
            self.now = min(request.at, self.now + 0.5)
        elif isinstance(request, Resync):
            self.note(self.box.resynced(request, self.now))
        elif isinstance(request, Read):
            if outcome in ("arrives", "twice"):
                self.note(self.box.received(self.plc.status(), self.now))
            else:
                self.note(self.box.failed("no reply", self.now))
        elif isinstance(request, WritePayload | WriteSeq):
            self.write(request, outcome)

    def write(self, request, outcome):
        if outcome == "late" and len(self.late) < self.most_late:
            self.late.append(request)
        elif outcome not in ("late", "lost"):
            self.plc.write(request)
        if outcome == "twice":
            self.plc.write(request)
        if outcome in ("arrives", "twice"):
            self.note(self.box.written(self.now))
        else:
            self.note(self.box.failed("no reply", self.now))

    @rule(steps=st.integers(1, 12))
    def all_goes_well_for_a_while(self, steps):
        for _ in range(steps):
            self.pump("arrives")
            self.plc.scan()

    @rule(
        disaster=st.sampled_from(
            [
                "scan",
                "late write",
                "late write",
                "power failure",
                "power failure and memory loss",
                "our restart",
            ]
        )
    )
    def something_happens(self, disaster):
        if disaster == "scan":
            self.plc.scan()
        elif disaster == "late write":
            self.a_late_write_arrives()
        elif disaster == "our restart":
            self.our_process_restarts()
        else:
            self.plc.boot += 1
            self.late.clear()  # the connections died with it
            if disaster == "power failure and memory loss":
                self.plc.wipe()
                self.memory_was_lost = True

    def a_late_write_arrives(self):
        if self.late:
            self.plc.write(self.late.pop(0))

    def our_process_restarts(self):
        """The rows are in the database; the machine starts anew from the oldest unacknowledged one."""
        if self.box.state is State.RESYNC:
            return  # a restart then simply finds the same disagreement again
        next_seq, item = self.box.last_acked + 1, self.box.item
        self.box = Mailbox("S01", next_seq=next_seq, boot=self.box.boot, timing=self.box.timing)
        if item is not None:
            self.box.offer(replace(item), self.now)

    def note(self, events):
        for event in events:
            if isinstance(event, Acked | Refused):
                assert event.part_id == self.outbox[0][0]
                self.outbox.pop(0)
                self.answered.append((event.part_id, event.code))

    @invariant()
    def every_disposition_was_applied_once_in_order_and_as_committed(self):
        if hasattr(self, "plc"):
            positions = [self.committed.index(entry) for entry in self.plc.applied]
            assert positions == sorted(set(positions))

    @invariant()
    def only_what_was_applied_is_called_applied(self):
        if hasattr(self, "plc"):
            applied = [part_id for part_id, _ in self.plc.applied]
            assert all(part_id in applied for part_id, code in self.answered if code == 1)
            assert self.memory_was_lost or all(code == 1 for _, code in self.answered)

    def teardown(self):
        if not hasattr(self, "plc"):
            return
        for _ in range(60 * (len(self.outbox) + 2)):
            self.all_goes_well_for_a_while(1)
            self.a_late_write_arrives()
        assert [part_id for part_id, _ in self.answered] == [part_id for part_id, _ in self.committed]
        self.every_disposition_was_applied_once_in_order_and_as_committed()
        if not self.memory_was_lost:
            assert self.plc.applied == self.committed


class HandshakeWithAStricterProgram(Handshake):
    """A program that takes only AckSeq + 1 stands any number of late writes, in any order."""

    most_late = 100
    only_next = True


TestHandshake = Handshake.TestCase
TestHandshake.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
TestHandshakeWithAStricterProgram = HandshakeWithAStricterProgram.TestCase
TestHandshakeWithAStricterProgram.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)


def test_two_writes_that_outlive_two_newer_rows_are_harmless_only_if_the_program_takes_the_next_number_alone():
    """Why a PLC program had better ask for DispSeq = AckSeq + 1: no client can prevent this one."""
    outcome = {}
    for only_next in (False, True):
        plc = ModelPlc(only_next=only_next)
        plc.parts |= {"P-1", "P-2"}
        first = Disposition(1, "P-1", 1, Result.PASS, Source.MODEL, final=True)
        second = Disposition(2, "P-2", 2, Result.REJECT, Source.MODEL, final=True)
        for request in (
            WritePayload(first), WriteSeq(1), WritePayload(second), WriteSeq(2),
            WritePayload(first), WriteSeq(1),  # delayed copies from two connections given up long ago
        ):  # fmt: skip
            plc.write(request)
            plc.scan()
        outcome[only_next] = [part_id for part_id, _ in plc.applied]

    assert outcome == {False: ["P-1", "P-2", "P-1"], True: ["P-1", "P-2"]}
