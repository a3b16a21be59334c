"""The hazards P1-P11 of pycomm3 1.2.16, each against the rule that keeps it away.

Where it can be shown, the bare library first does the wrong thing here, so that the rule is seen to be needed.
"""

import threading
import time

import pycomm3
import pytest
from pycomm3.exceptions import CommError

from plc.drivers.checked_socket import CheckedSocket
from plc.drivers.driver import DriverError, PlcDriver
from plc.drivers.ethernet_ip import STATUS_TAGS, EthernetIpDriver
from plc.handshake import Disposition, Result, Source, Status
from plc.simulator import Simulator
from plc.simulator.faults import Fault

BOTH = ("S01", "H01")
ROW = Disposition(seq=1, part_id="P-1", trig_seq=1, result=Result.HOLD, source=Source.MODEL, final=False)


@pytest.fixture
def simulator():
    with Simulator(gate_s=60) as simulator:
        yield simulator


@pytest.fixture
def driver(simulator):
    driver = opened(simulator)
    yield driver
    driver.close()


def opened(simulator, **options):
    driver = EthernetIpDriver(f"127.0.0.1:{simulator.port}", BOTH, **{"timeout_s": 0.3, **options})
    driver.open()
    return driver


@pytest.fixture
def bare(simulator):
    """pycomm3 as it comes, but for a short time-out."""
    plc = pycomm3.LogixDriver(f"127.0.0.1:{simulator.port}", init_program_tags=False)
    plc.socket_timeout = 0.3
    plc.open()
    yield plc
    try:
        plc.close()
    except CommError:
        plc._sock = None


def settle(simulator, mailbox="S01", seq=1):
    until = time.monotonic() + 2
    while simulator.status()["mailboxes"][mailbox]["AckSeq"] != seq and time.monotonic() < until:
        time.sleep(0.005)


# The ordinary way


def test_a_disposition_travels_to_the_program_and_its_answer_back(simulator, driver):
    simulator.pulse("S01", 1, "P-1")
    typed: PlcDriver = driver

    typed.write_payload("S01", ROW.payload(), 5)
    typed.write_seq("S01", 1, 5)
    settle(simulator)

    status = driver.read_status(BOTH)["S01"]
    assert (status.disp_seq, status.ack_seq, status.ack_code, status.ack_part_id) == (1, 1, 1, "P-1")
    assert (status.trig_seq, status.trig_part_id, status.hold_free, status.mode) == (1, "P-1", 19, 1)


def test_every_member_of_the_structure_arrives_as_sent(simulator, driver):
    row = Disposition(
        seq=2**31 - 1,
        part_id="~" * 32,
        trig_seq=77,
        result=Result.REJECT,
        source=Source.CHANGED_VERDICT,
        final=True,
        reason=9,
        confidence=0.5,
        model_version=12,
    )

    driver.write_payload("H01", row.payload(), 1)

    assert simulator.tags.disposition("H01") == row.payload()


def test_one_connection_serves_both_mailboxes_and_reads_them_in_one_request(simulator, driver):
    before = driver._socket._requests

    statuses = driver.read_status(BOTH)

    assert set(statuses) == {"S01", "H01"}
    assert driver._socket._requests - before == 1
    assert simulator.status()["connections"] == 1


def test_the_acknowledged_number_is_read_before_what_it_vouches_for():
    order = list(STATUS_TAGS)

    assert order.index("ack_seq") < order.index("ack_code")
    assert order.index("ack_seq") < order.index("ack_part_id")


def test_a_small_connection_only_costs_more_requests(simulator):
    simulator.fault(Fault.LARGE_FORWARD_OPEN_REFUSED)
    driver = opened(simulator)

    driver.write_payload("S01", ROW.payload(), 1)

    assert isinstance(driver.read_status(BOTH)["H01"], Status)
    assert simulator.tags.disposition("S01")["PartId"] == "P-1"
    driver.close()


def test_a_program_without_our_tags_is_refused_with_their_names():
    with (
        Simulator(stations=("S07:H07",)) as simulator,
        pytest.raises(DriverError, match="no tag VIS_S01_AckSeq"),
    ):
        opened(simulator)


# P1


def test_p1_a_bare_single_tag_write_is_malformed_and_a_strict_plc_refuses_it(bare):
    assert bare.write("VIS_S01_DispSeq", 4).error is not None


def test_p1_every_write_of_ours_carries_two_tags_or_more(simulator, driver):
    driver.write_seq("S01", 4, 11)
    driver.write_heartbeat(("S01",), 12)
    driver.write_heartbeat(BOTH, 13)

    assert simulator.status()["mailboxes"]["S01"]["DispSeq"] == 4
    assert simulator.status()["mailboxes"]["S01"]["AppHb"] == 13
    assert simulator.status()["mailboxes"]["H01"]["AppHb"] == 13
    with pytest.raises(DriverError, match="P1"):
        driver._write(("VIS_S01_DispSeq", 5))


# P2


def test_p2_after_a_time_out_the_bare_library_takes_the_late_reply_for_the_next_answer(simulator, bare):
    simulator.tags.set_number("VIS_S01_Mode", 41)
    simulator.tags.set_number("VIS_H01_Mode", 42)
    simulator.fault(Fault.SLOW_REPLY, seconds=0.4)
    with pytest.raises(CommError):
        bare.read("VIS_S01_Mode", "VIS_S01_Mode")
    time.sleep(0.3)

    first, second = bare.read("VIS_H01_Mode", "VIS_H01_Mode")

    assert (first.value, second.value) == (41, 41)  # wrong, and reported as good


def test_p2_a_late_reply_never_answers_the_next_request(simulator, driver):
    simulator.fault(Fault.SLOW_REPLY, seconds=0.4)
    with pytest.raises(DriverError):
        driver.read_status(BOTH)
    time.sleep(0.3)

    with pytest.raises(DriverError, match="nobody asked"):
        driver.read_status(BOTH)


def test_p2_a_repeated_reply_is_not_taken_for_the_next_one(simulator, driver):
    simulator.fault(Fault.DOUBLE_REPLY)
    driver.read_status(BOTH)

    with pytest.raises(DriverError):
        driver.write_seq("S01", 9, 1)


@pytest.mark.parametrize(
    ("at", "change", "reason"),
    [(0, 0x6F, "command"), (44, 1, "sequence count"), (46, 1, "service")],
)
def test_p2_a_reply_to_something_else_is_not_believed(simulator, driver, at, change, reason):
    genuine = driver._socket._exactly
    position = 0

    def forged(size, until):
        nonlocal position
        data = bytearray(genuine(size, until))
        if position <= at < position + size:
            data[at - position] ^= change
        position += size
        return bytes(data)

    driver._socket._exactly = forged

    with pytest.raises(DriverError, match=reason):
        driver.read_status(BOTH)


# P3


def test_p3_a_peer_that_closes_in_the_middle_of_a_reply_ends_the_request(simulator, driver):
    simulator.fault(Fault.PARTIAL_REPLY)
    began = time.monotonic()

    with pytest.raises(DriverError, match="middle of a reply"):
        driver.read_status(BOTH)

    assert time.monotonic() - began < 0.3


def test_p3_the_bare_library_would_loop_for_ever(simulator, bare):
    reads = 0
    sock = bare._sock.sock

    class Counting:
        def recv(self, size):
            nonlocal reads
            reads += 1
            if reads > 1000:
                raise TimeoutError("endless")
            return sock.recv(size)

        def __getattr__(self, name):
            return getattr(sock, name)

    bare._sock.sock = Counting()
    simulator.fault(Fault.PARTIAL_REPLY)

    with pytest.raises(CommError):
        bare.read("VIS_S01_Mode", "VIS_H01_Mode")

    assert reads > 1000
    bare._sock.sock = sock


def test_p3_noise_instead_of_a_reply_ends_the_request(simulator, driver):
    simulator.fault(Fault.GARBAGE)

    with pytest.raises(DriverError):
        driver.read_status(BOTH)


# P4


def test_p4_after_a_download_the_bare_library_writes_into_another_tag_and_says_ok(simulator, bare):
    simulator.fault(Fault.DOWNLOAD)

    results = bare.write(("VIS_S01_AppHb", 5), ("VIS_H01_AppHb", 5))

    assert all(result.error is None for result in results)
    assert simulator.status()["mailboxes"]["S01"]["AppHb"] == 0


def test_p4_our_writes_go_by_name(simulator, driver):
    simulator.fault(Fault.DOWNLOAD)

    driver.write_seq("S01", 6, 5)

    assert simulator.status()["mailboxes"]["S01"]["AppHb"] == 5
    assert simulator.status()["mailboxes"]["S01"]["DispSeq"] == 6


# P5


def test_p5_a_driver_belongs_to_the_thread_that_made_it(driver):
    raised = []

    def use():
        for call in (driver.open, lambda: driver.read_status(BOTH), lambda: driver.write_seq("S01", 1, 1)):
            try:
                call()
            except RuntimeError as error:
                raised.append(str(error))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()

    assert len(raised) == 3
    assert "P5" in raised[0]


# P6


def test_p6_one_refused_tag_of_a_packet_fails_the_whole_write(simulator, driver):
    simulator.fault(Fault.SECOND_WRITE_REJECTED)

    with pytest.raises(DriverError, match="VIS_S01_AppHb"):
        driver.write_payload("S01", ROW.payload(), 1)

    assert simulator.tags.disposition("S01")["SeqA"] == 1  # the first half did go through


def test_p6_a_rejected_write_is_an_error(simulator, driver):
    simulator.fault(Fault.WRITE_REJECTED)

    with pytest.raises(DriverError, match="VIS_S01_DispSeq"):
        driver.write_seq("S01", 1, 1)

    assert simulator.status()["mailboxes"]["S01"]["DispSeq"] == 0


# P7


@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.DROP_AFTER_WRITE])
def test_p7_a_write_that_was_executed_but_not_answered_may_be_repeated_under_its_number(
    simulator, driver, fault
):
    simulator.pulse("S01", 1, "P-1")
    driver.write_payload("S01", ROW.payload(), 1)
    simulator.fault(fault)
    with pytest.raises(DriverError):
        driver.write_seq("S01", 1, 1)
    settle(simulator)

    again = opened(simulator)
    again.write_payload("S01", ROW.payload(), 2)
    again.write_seq("S01", 1, 2)
    time.sleep(0.05)
    again.close()

    applied = [line for line in simulator.journal.lines if line["event"] == "disposition"]
    assert [line["seq"] for line in applied] == [1]


# P8


def test_p8_a_refused_session_is_an_error_and_not_a_false(simulator):
    simulator.fault(Fault.NO_SESSION)

    with pytest.raises(DriverError, match="refused the session"):
        opened(simulator)


def test_p8_closing_never_raises_and_may_be_done_twice(simulator, driver):
    simulator.fault(Fault.DROP_ALL)
    time.sleep(0.02)

    driver.close()
    driver.close()


def test_p8_a_driver_is_used_once(simulator, driver):
    driver.close()

    with pytest.raises(DriverError):
        driver.open()
    with pytest.raises(DriverError, match="not open"):
        driver.read_status(BOTH)


def test_p8_a_port_where_nobody_listens_is_an_error_with_the_address(simulator):
    simulator_port = simulator.port
    simulator.stop()

    with pytest.raises(DriverError, match=f"127.0.0.1:{simulator_port}"):
        opened(simulator)


# P9


@pytest.mark.parametrize("part_id", ["X" * 100, "Teil-ä", ""])
def test_p9_a_part_id_the_library_would_store_wrongly_never_leaves(simulator, driver, part_id):
    with pytest.raises(ValueError, match="part id"):
        driver.write_payload("S01", {**ROW.payload(), "PartId": part_id}, 1)

    assert simulator.tags.disposition("S01")["SeqA"] == 0


# P10


def test_p10_a_closed_driver_leaves_no_connection_in_the_plc(simulator):
    for _ in range(5):
        opened(simulator).close()

    assert simulator.status()["connections"] == 0


def test_p10_a_connection_whose_opening_was_never_answered_is_closed_all_the_same(simulator):
    simulator.fault(Fault.FORWARD_OPEN_REPLY_LOST)

    with pytest.raises(DriverError):
        opened(simulator)

    assert simulator.status()["connections"] == 0


def test_p10_a_refused_connection_is_an_error(simulator):
    simulator.fault(Fault.FORWARD_OPEN_REFUSED, count=2)

    with pytest.raises(DriverError):
        opened(simulator)

    assert simulator.status()["connections"] == 0
    opened(simulator).close()


def test_p10_a_full_connection_table_refuses_everybody():
    with Simulator(max_connections=1) as simulator:
        first = opened(simulator)
        with pytest.raises(DriverError):
            opened(simulator)
        first.close()
        opened(simulator).close()


# P11


def test_p11_a_silent_plc_is_given_up_within_our_time_and_not_the_librarys_five_seconds(simulator):
    driver = opened(simulator, timeout_s=0.2)
    simulator.fault(Fault.STALL, seconds=1.0)
    began = time.monotonic()

    with pytest.raises(DriverError, match=r"0\.2 s"):
        driver.read_status(BOTH)
    assert time.monotonic() - began < 0.35
    driver.close()

    assert time.monotonic() - began < 0.7


def test_p11_a_reply_that_drips_in_does_not_stretch_the_time(simulator, driver):
    sock = CheckedSocket(0.2)
    sock.connect("127.0.0.1", simulator.port)
    inner = sock._socket

    class Dripping:
        def recv(self, size):
            time.sleep(0.05)
            return b"\0"

        def settimeout(self, value):
            inner.settimeout(value)

    sock._socket = Dripping()
    began = time.monotonic()

    with pytest.raises(CommError, match="whole reply"):
        sock.receive()

    assert time.monotonic() - began < 0.35
    inner.close()
