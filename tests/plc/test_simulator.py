"""The simulated controller against independent clients, and its program against program.st."""

import json
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

import pycomm3
import pylogix
import pytest
from ethernetip.cip.identity_info import IdentityInfo
from ethernetip.cip.mr_codec import try_parse_request
from ethernetip.logix.logix_dispatcher import LogixDispatcher
from ethernetip.logix.tag_database import TagDatabase
from hypothesis import given
from hypothesis import strategies as st

from plc.drivers.ethernet_ip import EthernetIpDriver
from plc.handshake import Disposition, Result, Source
from plc.simulator import SensorError, SensorWire, Simulator
from plc.simulator.cip import Router, answer
from plc.simulator.faults import Fault
from plc.simulator.tags import DINT, TagTable

BOTH = ("S01", "H01")
STRUCTURE = {
    "SeqA": 1,
    "PartId": "P-1",
    "TrigSeq": 2,
    "Result": 3,
    "Reason": 4,
    "Confidence": 0.5,
    "Source": 1,
    "Final": 0,
    "ModelVer": 8,
    "SeqB": 1,
}


@pytest.fixture
def simulator():
    with Simulator(gate_s=60) as simulator:
        yield simulator


@pytest.fixture
def plc(simulator):
    driver = pycomm3.LogixDriver(f"127.0.0.1:{simulator.port}")
    driver.open()
    yield driver
    driver.close()


class Line:
    """A station and its gateway in a few words, straight through the driver."""

    def __init__(self, simulator):
        self.simulator = simulator
        self.seq = {"S01": 0, "H01": 0}
        self.driver = EthernetIpDriver(f"127.0.0.1:{simulator.port}", BOTH)
        self.driver.open()

    def send(self, mailbox, part_id, result, *, trig_seq=0, **changes):
        """Return the AckCode."""
        self.seq[mailbox] += 1
        seq = self.seq[mailbox]
        row = Disposition(seq, part_id, trig_seq, Result.HOLD, Source.MODEL, final=False)
        self.driver.write_payload(mailbox, {**row.payload(), "Result": int(result), **changes}, seq)
        self.driver.write_seq(mailbox, seq, seq)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            status = self.driver.read_status(BOTH)[mailbox]
            if status.ack_seq == seq:
                assert status.ack_part_id == part_id
                return status.ack_code
            time.sleep(0.002)
        return None

    def routed(self):
        return [
            (e["part_id"], e["routed_to"], e["by"])
            for e in self.simulator.journal.lines
            if e["event"] == "routed"
        ]

    def wait_for_routed(self, count):
        end = time.monotonic() + 3
        while len(self.routed()) < count and time.monotonic() < end:
            time.sleep(0.005)
        return self.routed()


@pytest.fixture
def line_with():
    opened = []

    def make(**options):
        simulator = Simulator(**options).start()
        line = Line(simulator)
        opened.append((line, simulator))
        return line

    yield make
    for line, simulator in opened:
        line.driver.close()
        simulator.stop()


# Independent clients


def test_pycomm3_uploads_the_tags_with_their_structure(plc):
    tags = {tag["tag_name"]: tag for tag in plc.get_tag_list()}

    assert len([name for name in tags if name.startswith("VIS_")]) == 24
    structure = tags["VIS_S01_Disp"]["data_type"]
    assert structure["name"] == "VIS_Disp"
    assert structure["attributes"] == list(STRUCTURE)
    assert {tags[f"VIS_H01_{name}"]["data_type_name"] for name in ("DispSeq", "AckSeq", "Mode")} == {"DINT"}
    assert tags["VIS_S01_AckPartId"]["data_type_name"] == "STRING"
    assert tags["Conveyor_Counts"]["dimensions"][0] == 8


def test_pycomm3_writes_and_reads_the_structure_as_a_dictionary(plc):
    written = plc.write(("VIS_S01_Disp", STRUCTURE), ("VIS_S01_AppHb", 1))

    assert [tag.error for tag in written] == [None, None]
    assert plc.read("VIS_S01_Disp").value == STRUCTURE
    assert plc.read("VIS_S01_Disp.PartId").value == "P-1"
    assert plc.read("VIS_S01_Disp.Confidence").value == 0.5


def test_pycomm3_pages_the_tag_list_and_reads_in_fragments_on_a_small_connection(simulator):
    simulator.fault(Fault.LARGE_FORWARD_OPEN_REFUSED)
    with Simulator(stations=[f"S{n:02}:H{n:02}" for n in range(1, 6)]) as crowded:
        crowded.fault(Fault.LARGE_FORWARD_OPEN_REFUSED)
        driver = pycomm3.LogixDriver(f"127.0.0.1:{crowded.port}")
        driver.open()
        assert driver.connection_size == 500
        assert len([name for name in driver.tags if name.startswith("VIS_")]) == 120
        values = driver.read(*[f"VIS_S0{n}_Disp" for n in range(1, 6)])
        assert all(tag.error is None for tag in values)
        driver.close()


def test_pycomm3_reads_and_writes_arrays_and_reports_unknown_tags(plc):
    assert plc.write(("Conveyor_Counts{8}", list(range(8))), ("Conveyor_Speed", 1.5))[0].error is None
    assert plc.read("Conveyor_Counts{8}").value == list(range(8))
    assert plc.read("Conveyor_Counts[3]").value == 3
    assert plc.read("Nothing_Here").error is not None


def test_pycomm3_knows_the_controller(plc):
    assert plc.info["product_name"] == "1756-L83E/B"
    assert plc.info["revision"] == {"major": 33, "minor": 11}
    assert plc.name == "SecondLook"


def test_pylogix_lists_the_tags_and_reads_the_members(simulator, plc):
    plc.write(("VIS_S01_Disp", STRUCTURE), ("VIS_S01_AppHb", 1))
    client = pylogix.PLC("127.0.0.1", port=simulator.port)
    try:
        tags = {tag.TagName: tag.DataType for tag in client.GetTagList().Value}
        fields = [field.TagName for field in client.UDTByName["VIS_Disp"].Fields]
        values = {name: client.Read(f"VIS_S01_Disp.{name}").Value for name in STRUCTURE}
        write = client.Write("VIS_S01_DispSeq", 44)
        batch = client.Read(["VIS_S01_DispSeq", "VIS_S01_Mode", "VIS_H01_Mode"])
    finally:
        client.Close()
        client.conn.msg_socket.close()  # pylogix leaves it open

    assert tags["VIS_S01_Disp"] == "VIS_Disp"
    assert tags["VIS_S01_AckSeq"] == "DINT"
    assert fields == list(STRUCTURE)
    assert values == STRUCTURE
    assert write.Status == "Success"
    assert [response.Value for response in batch] == [44, 1, 1]


def symbol(name):
    raw = name.encode()
    return bytes([0x91, len(raw)]) + raw + b"\0" * (len(raw) % 2)


def request(service, path, data=b""):
    return bytes([service, len(path) // 2]) + path + data


@pytest.mark.parametrize(
    "message",
    [
        request(0x4C, symbol("Count"), b"\x01\0"),
        request(0x4D, symbol("Count"), b"\xc4\0\x01\0" + struct.pack("<i", -5)),
        request(0x4D, symbol("COUNT"), b"\xc4\0\x01\0" + struct.pack("<i", 77)),
        request(0x4D, symbol("Count"), b"\xc3\0\x01\0\0\0"),
        request(0x4D, symbol("Count"), b"\xc4\0\x01\0\0\0"),
        request(0x4C, symbol("Count"), b"\x02\0"),
        request(0x4C, symbol("Counts") + b"\x28\x02", b"\x02\0"),
        request(0x4C, symbol("Nobody"), b"\x01\0"),
        request(0x4E, symbol("Count"), b"\x04\0" + b"\x0f\0\0\0" + b"\x3f\0\0\0"),
        request(0x52, symbol("Count"), b"\x01\0\0\0\0\0"),
        request(0x4C, b"\x20\x6b\x24\x01", b"\x01\0"),
        request(
            0x0A,
            b"\x20\x02\x24\x01",
            struct.pack("<HHH", 2, 6, 6 + 12) + 2 * request(0x4C, symbol("Count") + b"", b"\x01\0"),
        ),
    ],
)
def test_atomic_tags_answer_byte_for_byte_as_cm_ethernetip_does(message):
    theirs = TagDatabase()
    theirs.add_tag("Count", DINT)
    theirs.add_tag("Counts", DINT, element_count=4)
    dispatcher = LogixDispatcher(theirs, IdentityInfo())
    ours = TagTable()
    ours.add("Count")
    ours.add("Counts", count=4)
    router = Router(ours)

    for wire in (message, request(0x4C, symbol("Count"), b"\x01\0")):
        buffer = bytearray(4096)
        size = dispatcher.dispatch(*try_parse_request(wire)).encode(buffer)
        assert router.handle(wire, 4000) == bytes(buffer[:size])


def test_a_repeated_sequence_count_is_answered_again_and_not_executed_again(simulator, plc):
    sent = []
    send = plc._sock.send
    plc._sock.send = lambda message: sent.append(message) or send(message)
    plc.write(("VIS_S01_AppHb", 5), ("VIS_H01_AppHb", 5))
    simulator.tags.set_number("VIS_S01_AppHb", 6)

    send(sent[-1])
    reply = plc._sock.receive()

    assert reply[48] == 0  # success again
    assert simulator.tags.number("VIS_S01_AppHb") == 6


@pytest.mark.parametrize(("strict", "error"), [(True, True), (False, False)])
def test_left_over_bytes_are_refused_in_strict_mode_only(strict, error):
    with Simulator(strict=strict) as simulator:
        driver = pycomm3.LogixDriver(f"127.0.0.1:{simulator.port}")
        driver.open()
        assert (driver.write("VIS_S01_DispSeq", 3).error is not None) is error
        driver.close()


def test_a_service_nobody_offers_is_refused():
    assert Router(TagTable()).handle(request(0x05, b"\x20\x01\x24\x01"), 500) == answer(0x05, status=0x08)
    assert Router(TagTable()).handle(b"\x4c\x09", 500) == answer(0x4C, status=0x26)
    assert Router(TagTable()).handle(b"", 500)[2] != 0


@pytest.mark.parametrize(
    "noise", [b"\xff" * 24, b"\0" * 24, b"\x70\0\x08\0" + b"\0" * 28, b"GET / HTTP/1.1\r\n" * 3]
)
def test_noise_on_the_port_hurts_nobody_else(simulator, plc, noise):
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=1) as stranger:
        stranger.sendall(noise)
        time.sleep(0.05)

    assert plc.read("VIS_S01_Mode").value == 1


GENUINE = [
    request(0x4C, symbol("VIS_S01_Disp"), b"\x01\0"),
    request(0x4D, symbol("VIS_S01_DispSeq"), b"\xc4\0\x01\0\x07\0\0\0"),
    request(0x4E, symbol("VIS_S01_DispSeq"), b"\x04\0" + b"\xff" * 8),
    request(0x53, symbol("VIS_S01_Disp"), b"\xa0\x02\x15\x5d\x01\0\0\0\0\0abcd"),
    request(0x55, b"\x20\x6b\x24\x00", b"\x02\0\x01\0\x02\0"),
    request(0x03, b"\x20\x6c\x25\0\xa1\x02", b"\x01\0\x04\0"),
    request(0x0A, b"\x20\x02\x24\x01", b"\x01\0\x04\0" + request(0x4C, symbol("VIS_S01_Mode"), b"\x01\0")),
]


@given(
    genuine=st.sampled_from(GENUINE),
    changes=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 60),
    size=st.integers(4, 4000),
)
def test_every_request_however_broken_gets_one_well_formed_answer(genuine, changes, cut, size):
    tags = TagTable()
    tags.add_mailbox("S01")
    lengths = {name: len(tag.data) for name, tag in tags.by_name.items()}
    broken = bytearray(genuine)
    for at, value in changes:
        if at < len(broken):
            broken[at] = value

    reply = Router(tags).handle(bytes(broken[: max(1, len(broken) - cut)]), size)

    assert reply[0] == broken[0] | 0x80
    assert {name: len(tag.data) for name, tag in tags.by_name.items()} == lengths


# The program


def test_a_known_part_gets_its_verdict_and_is_routed_by_it(line_with):
    line = line_with(gate_s=0.1)
    line.simulator.pulse("S01", 1, "P-1")

    assert line.send("S01", "P-1", 1, trig_seq=1) == 1
    assert line.wait_for_routed(1) == [("P-1", "PASS", "verdict")]


def test_an_unknown_part_is_answered_3(line_with):
    line = line_with(gate_s=60)
    line.simulator.pulse("S01", 1, "P-1")

    assert line.send("S01", "P-1", 1, trig_seq=2) == 3
    assert line.send("S01", "P-OTHER", 1, trig_seq=1) == 3
    assert line.send("H01", "P-1", 1) == 3  # not in the hold table


def test_a_part_already_routed_is_answered_4(line_with):
    line = line_with(gate_s=0, auto_s=0)
    line.simulator.pulse("S01", 1, "P-1")
    line.wait_for_routed(1)

    assert line.send("S01", "P-1", 1, trig_seq=1) == 4
    assert line.routed() == [("P-1", "HOLD", "timeout")]


@pytest.mark.parametrize("result", [0, 4, -1, 2**31 - 1])
def test_a_bad_result_is_answered_6_and_changes_nothing(line_with, result):
    line = line_with(gate_s=60)
    line.simulator.pulse("S01", 1, "P-1")

    assert line.send("S01", "P-1", result, trig_seq=1) == 6
    assert line.simulator.programs["S01"].parts[0].verdict == 0


def test_a_station_out_of_auto_answers_7(line_with):
    line = line_with(gate_s=60)
    line.simulator.pulse("S01", 1, "P-1")
    with SensorWire("127.0.0.1", line.simulator.sensor_port) as wire:
        wire.ask({"mode": {"S01": 0}})

    assert line.send("S01", "P-1", 1, trig_seq=1) == 7


def test_a_full_hold_lane_answers_8_and_rejects_the_part(line_with):
    line = line_with(gate_s=0.3, hold_capacity=1)
    for number in (1, 2):
        line.simulator.pulse("S01", number, f"P-{number}")

    assert line.send("S01", "P-1", 3, trig_seq=1) == 1
    assert line.send("S01", "P-2", 3, trig_seq=2) == 8
    assert line.wait_for_routed(2) == [("P-1", "HOLD", "verdict"), ("P-2", "REJECT", "verdict")]


@pytest.mark.parametrize("torn", [{"SeqA": 99}, {"SeqB": 99}])
def test_a_torn_disposition_waits(line_with, torn):
    line = line_with(gate_s=60)
    line.simulator.pulse("S01", 1, "P-1")

    assert line.send("S01", "P-1", 1, trig_seq=1, **torn) is None
    assert line.simulator.programs["S01"].parts[0].verdict == 0


def test_no_verdict_means_hold_while_there_is_room_and_then_reject_but_never_pass(line_with):
    line = line_with(gate_s=0.02, auto_s=0.02, hold_capacity=2)
    for number in range(1, 5):
        line.simulator.pulse("S01", number, f"P-{number}")

    lanes = [(lane, by) for _, lane, by in line.wait_for_routed(4)]
    assert lanes == [("HOLD", "timeout")] * 2 + [("REJECT", "timeout")] * 2


def test_a_verdict_that_comes_while_the_part_waits_at_the_gate_still_counts(line_with):
    line = line_with(gate_s=0, auto_s=5)
    line.simulator.pulse("S01", 1, "P-1")
    time.sleep(0.1)

    assert line.send("S01", "P-1", 2, trig_seq=1) == 1
    assert line.wait_for_routed(1) == [("P-1", "REJECT", "verdict")]


def test_the_late_verdict_frees_the_place_in_the_hold_lane(line_with):
    line = line_with(gate_s=0.02, hold_capacity=1)
    line.simulator.pulse("S01", 1, "P-1")
    line.send("S01", "P-1", 3, trig_seq=1)
    line.wait_for_routed(1)
    assert line.driver.read_status(BOTH)["S01"].hold_free == 0

    assert line.send("H01", "P-1", 2) == 1
    assert line.wait_for_routed(2)[1] == ("P-1", "REJECT", "verdict")
    time.sleep(0.03)
    assert line.driver.read_status(BOTH)["S01"].hold_free == 1
    assert line.send("H01", "P-1", 1) == 4  # it left


def test_a_late_verdict_before_the_gate_spares_the_hold_lane(line_with):
    line = line_with(gate_s=0.4)
    line.simulator.pulse("S01", 1, "P-1")
    line.send("S01", "P-1", 3, trig_seq=1)

    assert line.send("H01", "P-1", 1) == 1
    assert line.wait_for_routed(1) == [("P-1", "PASS", "verdict")]


def test_parts_pass_the_gate_in_the_order_of_their_triggers(line_with):
    line = line_with(gate_s=0.2)
    for number in range(1, 6):
        line.simulator.pulse("S01", number, f"P-{number}")
    for number in (5, 3, 1, 4, 2):
        line.send("S01", f"P-{number}", 1, trig_seq=number)

    assert [part for part, _, _ in line.wait_for_routed(5)] == [f"P-{n}" for n in range(1, 6)]


# Memory, log and power


def events(path, kind):
    return [line for line in map(json.loads, path.read_text().splitlines()) if line["event"] == kind]


def test_tags_table_and_log_outlive_a_power_cycle_and_the_boot_counter_counts(tmp_path):
    files = {"log": tmp_path / "plc.jsonl", "state": tmp_path / "plc.json"}
    with Simulator(gate_s=60, **files) as simulator:
        line = Line(simulator)
        for number in (1, 2):
            simulator.pulse("S01", number, f"P-{number}")
        line.send("S01", "P-1", 3, trig_seq=1)
        line.driver.close()
    with Simulator(gate_s=60, **files) as simulator:
        line = Line(simulator)
        line.seq["S01"] = 1
        status = line.driver.read_status(BOTH)["S01"]
        assert (status.ack_seq, status.plc_boot, status.trig_seq, status.hold_free) == (1, 2, 2, 19)
        assert line.send("S01", "P-2", 1, trig_seq=2) == 1
        assert line.send("H01", "P-1", 2) == 1
        line.driver.close()

    assert [line["boot"] for line in events(files["log"], "boot")] == [1, 2]
    assert [(d["mailbox"], d["seq"], d["code"]) for d in events(files["log"], "disposition")] == [
        ("S01", 1, 1),
        ("S01", 2, 1),
        ("H01", 1, 1),
    ]


def test_a_log_that_ran_ahead_of_the_memory_is_cut_back_to_it(tmp_path):
    files = {"log": tmp_path / "plc.jsonl", "state": tmp_path / "plc.json"}
    with Simulator(**files):
        pass
    with files["log"].open("a") as log:
        log.write('{"event": "disposition", "seq": 1}\n')

    with Simulator(**files):
        pass

    assert events(files["log"], "disposition") == []
    assert [line["boot"] for line in events(files["log"], "boot")] == [1, 2]


def test_parts_the_controller_forgot_are_held_and_never_passed(line_with):
    line = line_with(gate_s=0.3, auto_s=0.02)
    line.simulator.pulse("S01", 1, "P-1")
    line.send("S01", "P-1", 1, trig_seq=1)
    line.simulator.fault(Fault.COUNTER_RESET)

    assert line.wait_for_routed(1) == [("P-1", "HOLD", "timeout")]


def test_the_heartbeat_and_the_boot_counter_are_there_for_both_mailboxes(line_with):
    line = line_with()
    first = line.driver.read_status(BOTH)
    time.sleep(0.35)
    second = line.driver.read_status(BOTH)

    for name in BOTH:
        assert 2 <= second[name].plc_hb - first[name].plc_hb <= 5
        assert second[name].plc_boot == 1


# The sensor wire


def test_a_pulse_is_confirmed_and_the_same_pulse_again_is_harmless(simulator):
    with SensorWire("127.0.0.1", simulator.sensor_port) as wire:
        assert wire.pulse("S01", 1, "P-1") is True
        assert wire.pulse("S01", 1, "P-1") is False
        assert wire.status()["parts"] == {"S01": {"on_belt": 1, "in_hold": 0}}


@pytest.mark.parametrize(
    "pulse",
    [("S99", 1, "P"), ("S01", 0, "P"), ("S01", 2**31, "P"), ("S01", 1, "X" * 83), ("S01", "one", "P")],
)
def test_a_pulse_that_cannot_be_is_a_clear_error(simulator, pulse):
    with SensorWire("127.0.0.1", simulator.sensor_port) as wire, pytest.raises(SensorError):
        wire.pulse(*pulse)


def test_two_parts_never_share_a_trigger(simulator):
    with SensorWire("127.0.0.1", simulator.sensor_port) as wire:
        wire.pulse("S01", 1, "P-1")
        with pytest.raises(SensorError, match="P-1"):
            wire.pulse("S01", 1, "P-2")


def test_a_wire_to_nobody_is_an_error_and_mends_itself(tmp_path):
    with Simulator() as simulator:
        port = simulator.sensor_port
        wire = SensorWire("127.0.0.1", port)
        wire.pulse("S01", 1, "P-1")
    with pytest.raises(SensorError, match="No answer"):
        wire.pulse("S01", 2, "P-2")
    with Simulator(sensor_port=port):
        assert wire.pulse("S01", 2, "P-2") is True
    wire.close()


# The process


def test_the_process_starts_serves_and_survives_a_kill_with_its_memory(tmp_path):
    command = [sys.executable, "-m", "plc.simulator", "--port", "0", "--sensor-port", "0", "--gate-s", "60"]
    command += ["--log", str(tmp_path / "plc.jsonl"), "--state", str(tmp_path / "plc.json")]

    for boot, end in ((1, signal.SIGKILL), (2, signal.SIGTERM)):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            words = process.stdout.readline().split()
            with SensorWire("127.0.0.1", int(words[-1])) as wire:
                assert wire.pulse("S01", 1, "P-1") is (boot == 1)
                assert wire.status()["boot"] == boot
            process.send_signal(end)
            assert process.wait(timeout=5) == (0 if end is signal.SIGTERM else -signal.SIGKILL)

    assert len(events(tmp_path / "plc.jsonl", "trigger")) == 1


def test_a_second_controller_on_the_same_ports_says_so_and_touches_no_file(tmp_path):
    files = {"log": tmp_path / "plc.jsonl", "state": tmp_path / "plc.json"}
    with Simulator(**files) as simulator:
        before = [path.read_bytes() for path in files.values()]
        command = [
            sys.executable,
            "-m",
            "plc.simulator",
            "--port",
            "0",
            "--sensor-port",
            str(simulator.sensor_port),
        ]
        command += ["--log", str(files["log"]), "--state", str(files["state"])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

        assert done.returncode == 1
        assert "cannot open ports" in done.stdout
        assert done.stderr == ""
        assert [path.read_bytes() for path in files.values()] == before


def test_a_structure_is_written_within_a_millisecond_and_answered_within_a_few_scans(line_with):
    line = line_with(gate_s=60, hold_capacity=1000)
    row = Disposition(1, "P-1", 1, Result.HOLD, Source.MODEL, final=False)
    writes, answers = [], []
    for _ in range(200):
        began = time.perf_counter()
        line.driver.write_payload("S01", row.payload(), 1)
        writes.append(time.perf_counter() - began)
    for number in range(1, 51):
        line.simulator.pulse("S01", number, f"P-{number}")
        began = time.perf_counter()
        assert line.send("S01", f"P-{number}", 3, trig_seq=number) == 1
        answers.append(time.perf_counter() - began)

    print(f"write {statistics.median(writes) * 1e3:.2f} ms, ack {statistics.median(answers) * 1e3:.1f} ms")
    assert statistics.median(writes) < 0.003  # 0.2 ms on an idle machine
    assert statistics.median(answers) < 0.05  # one scan of 10 ms on an idle machine
