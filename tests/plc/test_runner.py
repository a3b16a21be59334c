"""Machine, driver and simulated PLC together; the simulator's log is the judge."""

import json
import random
import socket
import subprocess
import sys
import time
from typing import NamedTuple

from plc.drivers.ethernet_ip import EthernetIpDriver
from plc.drivers.runner import Runner
from plc.handshake import (
    Acked,
    Alarm,
    Disposition,
    LinkDown,
    LinkUp,
    Mailbox,
    Refused,
    Result,
    ResyncNeeded,
    Source,
    State,
    Timing,
)
from plc.simulator import SensorWire, Simulator
from plc.simulator.faults import Fault

BRISK = Timing(ack_s=0.1, backoff_first_s=0.01, backoff_max_s=0.1, poll_s=0.004, quiet_s=0.05)


class Ports(NamedTuple):
    """A simulator in another process."""

    port: int


class Gateway:
    """The smallest gateway: two outboxes in memory, one blocking loop."""

    def __init__(self, simulator, *, timing=BRISK, boot=None, timeout_s=0.1):
        self.boxes = {name: Mailbox(name, next_seq=1, boot=boot, timing=timing) for name in ("S01", "H01")}
        self.outbox = {"S01": [], "H01": []}
        self.events = []

        def driver():
            return EthernetIpDriver(f"127.0.0.1:{simulator.port}", ("S01", "H01"), timeout_s=timeout_s)

        self.runner = Runner(driver, list(self.boxes.values()), timing=timing)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.runner.close()

    def commit(self, mailbox, part_id, result, trig_seq=0):
        self.outbox[mailbox].append((part_id, trig_seq, result))

    def step(self, *, beat=True):
        now = time.monotonic()
        for name, box in self.boxes.items():
            if box.state is State.IDLE and self.outbox[name]:
                part_id, trig_seq, result = self.outbox[name][0]
                source = Source.MODEL if name == "S01" else Source.HUMAN
                final = result is not Result.HOLD
                box.offer(Disposition(box.last_acked + 1, part_id, trig_seq, result, source, final), now)
        fresh = self.runner.tick(beat=beat)
        for box, plan in self.runner.plans():
            fresh += box.resynced(plan, now)
        for event in fresh:
            if isinstance(event, Acked | Refused):
                assert self.outbox[event.mailbox].pop(0)[0] == event.part_id
        self.events += fresh
        time.sleep(min(0.02, self.runner.wait_s()))

    def until(self, condition, *, within_s=5.0, beat=True):
        end = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < end, f"not within {within_s} s; {self.events[-5:]}"
            self.step(beat=beat)

    def until_empty(self, **options):
        self.until(lambda: not any(self.outbox.values()), **options)

    def of(self, *kinds):
        return [event for event in self.events if isinstance(event, kinds)]


def dispositions(simulator):
    return [line for line in simulator.journal.lines if line["event"] == "disposition"]


def routed(simulator):
    return [
        (line["part_id"], line["routed_to"], line["by"])
        for line in simulator.journal.lines
        if line["event"] == "routed"
    ]


def test_a_grey_part_goes_to_hold_and_leaves_it_by_the_inspectors_verdict():
    with Simulator(gate_s=0.1) as simulator, Gateway(simulator) as gateway:
        simulator.pulse("S01", 1, "P-1")
        gateway.commit("S01", "P-1", Result.HOLD, trig_seq=1)
        gateway.until_empty()
        gateway.until(lambda: routed(simulator) == [("P-1", "HOLD", "verdict")])
        gateway.commit("H01", "P-1", Result.PASS)
        gateway.until_empty()

        assert routed(simulator) == [("P-1", "HOLD", "verdict"), ("P-1", "PASS", "verdict")]
        assert [(d["mailbox"], d["seq"], d["source"], d["final"]) for d in dispositions(simulator)] == [
            ("S01", 1, 1, 0),
            ("H01", 1, 2, 1),
        ]
        assert gateway.runner.drivers_opened == 1


def test_a_late_mailbox_that_is_never_answered_does_not_hold_up_the_line():
    with Simulator(gate_s=60) as simulator, Gateway(simulator) as gateway:
        program = simulator.programs["S01"]
        answer = program._answer
        program._answer = lambda mailbox: mailbox == "S01" and answer(mailbox)
        gateway.commit("H01", "P-99", Result.PASS)
        for number in range(1, 11):
            simulator.pulse("S01", number, f"P-{number}")
            gateway.commit("S01", f"P-{number}", Result.PASS, trig_seq=number)
        gateway.until(lambda: not gateway.outbox["S01"])

        assert [event.seq for event in gateway.of(Acked)] == list(range(1, 11))
        assert gateway.outbox["H01"]
        program._answer = answer
        gateway.until_empty()
        assert [event.code for event in gateway.of(Refused)] == [3]


def test_a_plc_that_knows_more_numbers_than_our_database_is_joined_after_its_last():
    with Simulator(gate_s=60) as simulator, Gateway(simulator) as gateway:
        with simulator.tags.lock:
            simulator.tags.set_number("VIS_S01_DispSeq", 70)
            simulator.tags.set_number("VIS_S01_AckSeq", 70)
        simulator.pulse("S01", 1, "P-1")
        gateway.commit("S01", "P-1", Result.PASS, trig_seq=1)
        gateway.until_empty()

        assert [event.seq for event in gateway.of(Acked)] == [71]


def test_the_heartbeat_goes_on_while_nothing_is_sent():
    with Simulator() as simulator, Gateway(simulator) as gateway:
        end = time.monotonic() + 1.3
        beats = set()
        while time.monotonic() < end:
            gateway.step()
            beats.add(simulator.status()["mailboxes"]["S01"]["AppHb"])

        assert len(beats) >= 3
        assert gateway.runner.link_is_up
        assert len(gateway.of(LinkUp)) == 1


def test_without_our_heartbeat_the_plc_holds_what_it_has_no_verdict_for():
    with Simulator(gate_s=2.1, auto_s=30) as simulator, Gateway(simulator) as gateway:
        simulator.pulse("S01", 1, "P-1")
        gateway.until(lambda: bool(routed(simulator)), beat=False)

        assert routed(simulator) == [("P-1", "HOLD", "timeout")]


def test_a_program_that_stands_still_is_a_link_that_is_down_though_reads_work():
    with Simulator() as simulator, Gateway(simulator) as gateway:
        gateway.until(lambda: gateway.runner.link_is_up)
        simulator.fault(Fault.FREEZE, seconds=2.6)
        gateway.until(lambda: bool(gateway.of(LinkDown)))

        assert gateway.runner.drivers_opened == 1
        gateway.until(lambda: len(gateway.of(LinkUp)) == 2)


def test_a_restarted_plc_raises_an_alarm_and_the_row_in_flight_is_applied_once():
    with Simulator(gate_s=60) as simulator, Gateway(simulator) as gateway:
        gateway.until(lambda: gateway.runner.link_is_up)
        for number in (1, 2):
            simulator.pulse("S01", number, f"P-{number}")
            gateway.commit("S01", f"P-{number}", Result.PASS, trig_seq=number)
            simulator.fault(Fault.RESTART)
        gateway.until_empty()

        assert [d["part_id"] for d in dispositions(simulator)] == ["P-1", "P-2"]
        assert gateway.of(ResyncNeeded)
        assert gateway.of(Alarm)


def test_a_plc_that_lost_its_memory_is_resynchronised_at_its_own_number():
    with Simulator(gate_s=60) as simulator, Gateway(simulator) as gateway:
        for number in (1, 2, 3):
            simulator.pulse("S01", number, f"P-{number}")
            gateway.commit("S01", f"P-{number}", Result.PASS, trig_seq=number)
        gateway.until_empty()
        simulator.fault(Fault.COUNTER_RESET)
        simulator.pulse("S01", 4, "P-4")
        gateway.commit("S01", "P-4", Result.REJECT, trig_seq=4)
        gateway.until_empty()

        assert [(d["seq"], d["part_id"], d["code"]) for d in dispositions(simulator)] == [
            (1, "P-1", 1),
            (2, "P-2", 1),
            (3, "P-3", 1),
            (1, "P-4", 1),
        ]


def test_a_mailbox_whose_plan_nobody_commits_stays_stopped_and_does_not_spin():
    with Simulator(gate_s=60) as simulator, Gateway(simulator) as gateway:
        gateway.until(lambda: gateway.runner.link_is_up)
        simulator.fault(Fault.RESTART)
        ticks, end = 0, time.monotonic() + 1.0
        while time.monotonic() < end:
            gateway.events += gateway.runner.tick()
            ticks += 1
            time.sleep(gateway.runner.wait_s())

        assert [box.state for box in gateway.boxes.values()] == [State.RESYNC, State.RESYNC]
        assert len(gateway.runner.plans()) == 2
        assert len(gateway.of(ResyncNeeded)) == 2
        assert ticks < 300


def test_an_absent_plc_is_asked_less_and_less_often():
    with Simulator() as simulator:
        pass
    timing = Timing(backoff_first_s=0.1, backoff_max_s=30)
    with Gateway(simulator, timing=timing) as gateway:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            gateway.step()

        assert len(gateway.of(Alarm)) == 4  # at 0, .1, .3 and .7 s


def test_400_dispositions_under_a_hundred_faults_are_applied_once_and_in_order():
    """Both mailboxes at once, and every fault but the loss of the whole memory, which loses the parts themselves."""
    parts = 310
    chance = random.Random(20)
    kinds = [fault for fault in Fault if fault not in (Fault.COUNTER_RESET, Fault.FREEZE)]
    committed = {"S01": [], "H01": []}
    with (
        Simulator(gate_s=600, hold_capacity=parts) as simulator,
        Gateway(simulator, timeout_s=0.06) as gateway,
    ):

        def commit(mailbox, part_id, result, trig_seq=0):
            committed[mailbox].append((len(committed[mailbox]) + 1, part_id, int(result), 1))
            gateway.commit(mailbox, part_id, result, trig_seq)

        held = None
        for number in range(1, parts + 1):
            simulator.pulse("S01", number, f"P-{number}")
            result = chance.choice(list(Result))
            commit("S01", f"P-{number}", result, number)
            if held is not None:
                commit("H01", held, chance.choice([Result.PASS, Result.REJECT]))
            held = f"P-{number}" if result is Result.HOLD else None
            if number % 2 == 0:
                simulator.fault(chance.choice(kinds), seconds=0.08, writes_only=chance.random() < 0.5)
            gateway.until_empty(within_s=20)

        for mailbox, rows in committed.items():
            own = [d for d in dispositions(simulator) if d["mailbox"] == mailbox]
            assert [(d["seq"], d["part_id"], d["result"], d["code"]) for d in own] == rows
            answers = [e for e in gateway.of(Acked, Refused) if e.mailbox == mailbox]
            assert [(e.seq, e.part_id, e.code) for e in answers] == [(s, p, code) for s, p, _, code in rows]
        print(f"{len(dispositions(simulator))} dispositions, {simulator.faults.taken} faults,", end=" ")
        print(f"{gateway.runner.drivers_opened} drivers, {len(gateway.of(ResyncNeeded))} re-synchronisations")
        assert simulator.faults.taken >= 100
        assert len(dispositions(simulator)) >= 400


def test_a_controller_killed_again_and_again_applies_everything_once(tmp_path):
    """The process dies without warning; its log, cut to what its memory knows, is the judge."""
    parts, log = 60, tmp_path / "plc.jsonl"
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    command = [sys.executable, "-m", "plc.simulator", "--port", str(ports[0]), "--sensor-port", str(ports[1])]
    command += ["--gate-s", "600", "--log", str(log), "--state", str(tmp_path / "plc.json")]

    def start():
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        process.stdout.readline()
        return process

    process = start()
    with SensorWire("127.0.0.1", ports[1]) as wire, Gateway(Ports(ports[0])) as gateway:
        for number in range(1, parts + 1):
            wire.pulse("S01", number, f"P-{number}")
        for number in range(1, parts + 1):
            gateway.commit("S01", f"P-{number}", Result.REJECT, trig_seq=number)
            if number % 15 == 5:
                for _ in range(number // 15):  # each time a little further into the exchange
                    gateway.step()
                process.kill()
                process.communicate()
                process = start()
            gateway.until_empty(within_s=10)
    process.terminate()
    process.communicate()

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    applied = [(d["seq"], d["part_id"], d["code"]) for d in lines if d["event"] == "disposition"]
    assert applied == [(number, f"P-{number}", 1) for number in range(1, parts + 1)]
    assert [line["boot"] for line in lines if line["event"] == "boot"] == [1, 2, 3, 4, 5]
