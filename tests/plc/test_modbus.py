"""The hazards M1-M15 of Modbus TCP and pymodbus 3.16.1, each against the rule that keeps it away.

Where it can be shown, the bare library first does the wrong thing here, so that the rule is seen to be needed.
"""

import struct
import threading
import time

import pytest
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from plc.drivers.driver import DriverError, PlcDriver
from plc.drivers.modbus import CheckedClient, ModbusDriver
from plc.drivers.protocols import new_driver
from plc.drivers.registers import FLOAT, INT32, STATUS_LENGTH, TEXT, Registers
from plc.handshake import Disposition, Result, Source
from plc.simulator.faults import Fault
from plc.simulator.modbus import ModbusSimulator
from tests.plc.modbus_peer import Peer, registers, reply, written

BOTH = ("S01", "H01")
ROW = Disposition(seq=1, part_id="P-1", trig_seq=1, result=Result.HOLD, source=Source.MODEL, final=False)


@pytest.fixture
def simulator():
    with ModbusSimulator(gate_s=60) as simulator:
        yield simulator


@pytest.fixture
def driver(simulator):
    driver = opened(simulator.port)
    yield driver
    driver.close()


def opened(port, **options):
    driver = ModbusDriver("127.0.0.1", port, BOTH, **{"timeout_s": 0.3, **options})
    driver.open()
    return driver


def bare(port, **options):
    """pymodbus as it comes, but for a short time-out."""
    return ModbusTcpClient("127.0.0.1", port=port, timeout=0.2, **options)


class Memory:
    """A device's registers for a `Peer`: zero until written; `twist` may spoil the answers."""

    def __init__(self, twist=lambda _request, said: said):
        self.values = [0] * 600
        self.twist = twist
        self.writes = 0

    def __call__(self, request):
        function, address, count = struct.unpack_from(">BHH", request, 7)
        if function == 16:
            self.writes += 1
            self.values[address : address + count] = struct.unpack_from(f">{count}H", request, 13)
            return self.twist(request, written(request))
        return self.twist(request, registers(request, *self.values[address : address + count]))


def is_write(request):
    return request[7] == 16


# The ordinary way


def test_a_disposition_travels_to_the_program_and_its_answer_back(simulator, driver):
    simulator.pulse("S01", 1, "P-1")
    typed: PlcDriver = driver

    typed.write_payload("S01", ROW.payload(), 5)
    typed.write_seq("S01", 1, 5)
    until = time.monotonic() + 2
    while driver.read_status(BOTH)["S01"].ack_seq != 1 and time.monotonic() < until:
        time.sleep(0.005)

    status = driver.read_status(BOTH)["S01"]
    assert (status.disp_seq, status.ack_seq, status.ack_code, status.ack_part_id) == (1, 1, 1, "P-1")
    assert (status.trig_seq, status.trig_part_id, status.hold_free, status.mode) == (1, "P-1", 19, 1)
    assert simulator.status()["mailboxes"]["S01"]["AppHb"] == 5


def test_every_field_arrives_as_sent_in_its_own_mailbox(simulator, driver):
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
    assert simulator.tags.disposition("S01")["SeqA"] == 0


def test_the_number_goes_last_and_alone_in_its_own_request():
    with Peer(Memory()) as peer:
        driver = opened(peer.port)
        peer.requests.clear()
        driver.write_payload("S01", ROW.payload(), 5)
        driver.write_seq("S01", 7, 5)
        driver.close()

    writes = [struct.unpack_from(">BHH", request, 7) for request in peer.requests if is_write(request)]
    assert writes == [(16, 2, 36), (16, 0, 2)]
    assert peer.requests[-1][7:] == bytes.fromhex("10 0000 0002 04 00000007")


def test_the_heartbeat_of_both_mailboxes_is_written_without_touching_anything_else(simulator, driver):
    driver.write_payload("S01", ROW.payload(), 1)
    driver.write_heartbeat(BOTH, 70_000)

    mailboxes = simulator.status()["mailboxes"]
    assert (mailboxes["S01"]["AppHb"], mailboxes["H01"]["AppHb"]) == (70_000, 70_000)
    assert simulator.tags.disposition("S01") == ROW.payload()


def test_a_device_without_our_registers_is_refused_at_the_first_contact():
    with (
        ModbusSimulator(stations=("S01:H01",)) as simulator,
        pytest.raises(DriverError, match="read_holding_registers at 400 was refused: illegal data address"),
    ):
        ModbusDriver("127.0.0.1", simulator.port, ("S01", "H01", "S02")).open()


def test_a_port_where_nobody_listens_is_an_error_with_the_address(simulator):
    port = simulator.port
    simulator.stop()
    with pytest.raises(DriverError, match=f"No connection to the PLC at 127.0.0.1:{port}"):
        opened(port)


def test_a_connection_that_is_closed_at_once_is_an_error_and_the_next_driver_gets_in(simulator):
    simulator.fault(Fault.NO_SESSION)
    with pytest.raises(DriverError):
        opened(simulator.port)
    opened(simulator.port).close()


# The register map


@pytest.mark.parametrize(
    ("word_order", "byte_order", "number", "text"),
    [
        ("big", "big", [0x0102, 0x0304], [0x4142, 0x4300]),
        ("little", "big", [0x0304, 0x0102], [0x4142, 0x4300]),
        ("big", "little", [0x0201, 0x0403], [0x4241, 0x0043]),
        ("little", "little", [0x0403, 0x0201], [0x4241, 0x0043]),
    ],
)
def test_numbers_and_text_are_written_in_the_order_the_plant_has(word_order, byte_order, number, text):
    there = Registers(word_order=word_order, byte_order=byte_order)

    assert there.encode(INT32, 0x01020304) == number
    assert there.encode(TEXT, "ABC")[:2] == text
    assert there.decode(INT32, number) == 0x01020304
    assert there.decode(TEXT, there.encode(TEXT, "ABC")) == "ABC"
    assert there.decode(INT32, there.encode(INT32, -5)) == -5
    assert there.decode(FLOAT, there.encode(FLOAT, 0.25)) == 0.25


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"unit_id": 0}, "broadcast"),
        ({"unit_id": "1"}, "unit_id is 1 to 247"),
        ({"word_order": "middle"}, "word_order is 'big' or 'little'"),
        ({"bases": {"S01": 0, "H01": 100}}, "overlap"),
        ({"bases": {"S01": 65_500}}, "begins at a register from 0 to 65391"),
        ({"bases": [0, 200]}, "bases gives each mailbox"),
        ({"registers": 1}, "unexpected keyword"),
    ],
)
def test_a_map_that_cannot_be_is_refused_before_the_first_byte(options, sentence):
    with pytest.raises(DriverError, match=sentence):
        new_driver("modbus", "127.0.0.1", 502, BOTH, options)


def test_a_map_that_forgets_a_mailbox_fails_at_the_first_contact_and_not_by_a_guess(simulator):
    driver = new_driver("modbus", "127.0.0.1", simulator.port, BOTH, {"bases": {"S01": 0}})
    with pytest.raises(DriverError, match="bases does not say where mailbox H01 begins"):
        driver.open()


def test_mailboxes_may_lie_anywhere():
    memory = Memory()
    with Peer(memory) as peer:
        driver = opened(peer.port, registers=Registers(bases={"H01": 0, "S01": 400}, unit_id=255))
        driver.write_seq("S01", 9, 1)
        driver.close()

    assert memory.values[400:402] == [0, 9]
    assert {request[6] for request in peer.requests} == {255}


# M1


def test_m1_the_bare_library_sends_a_write_four_times_before_it_gives_up():
    with Peer(lambda _request: b"") as peer:
        client = bare(peer.port)
        with pytest.raises(ModbusException):
            client.write_registers(0, [0, 1])
        client.close()

    assert len(b"".join(peer.requests)) // 17 == 4


def test_m1_an_unanswered_write_of_ours_is_sent_once():
    memory = Memory(lambda request, said: b"" if is_write(request) else said)
    with Peer(memory) as peer:
        driver = opened(peer.port)
        assert driver._client.transaction.retries == 0
        with pytest.raises(DriverError, match=r"No whole reply within 0.3 s"):
            driver.write_seq("S01", 1, 1)

    assert memory.writes == 1


# M2


def test_m2_the_bare_library_opens_a_second_connection_behind_our_back():
    answers = iter([None, "registers"])
    with Peer(lambda request: registers(request, 5) if next(answers) else None) as peer:
        client = bare(peer.port)
        with pytest.raises(ModbusException):
            client.read_holding_registers(0)
        assert client.read_holding_registers(0).registers == [5]
        client.close()

    assert peer.connections == 2


def test_m2_a_driver_that_lost_its_connection_is_spent(simulator, driver):
    simulator.fault(Fault.DROP_ALL)
    for _ in range(2):
        with pytest.raises(DriverError):
            driver.read_status(BOTH)
    with pytest.raises(DriverError, match="used before"):
        driver.open()
    driver.close()


def test_m2_the_client_connects_once_even_when_it_is_asked_again(simulator):
    client = CheckedClient("127.0.0.1", simulator.port, timeout_s=0.2)
    assert client.connect()
    assert client.connect()
    client.close()
    assert not client.connect()


# M3


def test_m3_the_bare_library_returns_a_refusal_as_if_it_were_an_answer(simulator):
    simulator.fault(Fault.WRITE_REJECTED)
    client = bare(simulator.port)
    assert client.write_registers(0, [0, 1]) is not None
    client.close()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (1, "illegal function"),
        (2, "illegal data address"),
        (3, "illegal data value"),
        (4, "device failure"),
        (5, "still working"),
        (6, "device busy"),
        (8, "parity"),
        (10, "path unavailable"),
        (11, "target does not respond"),
        (77, "exception 77"),
    ],
)
def test_m3_every_exception_code_is_an_error_with_its_name(code, sentence):
    def refused(request, said):
        return reply(request, bytes([0x90, code])) if is_write(request) else said

    with Peer(Memory(refused)) as peer:
        driver = opened(peer.port)
        with pytest.raises(DriverError, match=sentence):
            driver.write_seq("S01", 1, 1)
        with pytest.raises(DriverError, match="not open"):
            driver.read_status(BOTH)


# M4


def test_m4_the_bare_library_takes_the_answer_to_a_reading_for_a_written_number():
    with Peer(lambda request: reply(request, b"\x03\x02\0\0")) as peer:
        client = bare(peer.port)
        assert not client.write_registers(0, [0, 1]).isError()
        client.close()


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        (lambda request: reply(request, b"\x03\x02\0\0"), "another function"),
        (lambda request: reply(request, struct.pack(">BHH", 16, 200, 2)), "2 registers at 200, not 2 at 0"),
        (lambda request: reply(request, struct.pack(">BHH", 16, 0, 1)), "1 registers at 0, not 2 at 0"),
        (lambda request: reply(request, request[7:12], transaction=0), "another transaction"),
        (lambda request: reply(request, request[7:12], transaction=999), "another transaction"),
        (lambda request: reply(request, request[7:12], unit=9), "another unit"),
        (lambda _request: b"\x00\x01\x00\x07\x00\x06\x01\x10\0\0\0\x02", "no Modbus reply"),
        (lambda _request: b"\x00\x01\x00\x00\xff\xff\x01\x10\0\0\0\x02", "no Modbus reply"),
        (lambda _request: b"\x00\x01\x00\x00\x00\x00\x01\x10\0\0\0\x02", "no Modbus reply"),
    ],
)
def test_m4_an_answer_to_something_else_is_not_believed(spoilt, reason):
    with Peer(Memory(lambda request, said: spoilt(request) if is_write(request) else said)) as peer:
        driver = opened(peer.port)
        with pytest.raises(DriverError, match=reason):
            driver.write_seq("S01", 1, 1)


# M5


def test_m5_the_bare_library_is_content_with_fewer_registers_than_it_asked_for():
    with Peer(lambda request: registers(request, 7)) as peer:
        client = bare(peer.port)
        assert client.read_holding_registers(100, count=45).registers == [7]
        client.close()


@pytest.mark.parametrize("count", [0, 1, STATUS_LENGTH - 1, STATUS_LENGTH + 1])
def test_m5_a_short_or_long_answer_is_refused(count):
    def cut(request, said):
        return registers(request, *([0] * count)) if request[8:10] == b"\0\x64" else said

    with Peer(Memory(cut)) as peer, pytest.raises(DriverError):
        opened(peer.port)


# M6


def late_reply(transaction):
    """A reading whose last registers look like a whole reply to the next request."""
    forged = struct.pack(">HHHBBBH", transaction, 0, 5, 1, 3, 2, 0xBAD)

    def answer(request):
        if struct.unpack_from(">H", request)[0] == transaction:
            return b""
        whole = reply(request, bytes([3, 2 + len(forged) + 1]) + b"\0\0" + forged + b"\0")
        cut = len(whole) - len(forged) - 1
        return [whole[:cut], 0.35, whole[cut:]]

    return answer


def test_m6_the_bare_library_takes_the_rest_of_a_late_reply_for_the_next_answer():
    with Peer(late_reply(2)) as peer:
        client = bare(peer.port, retries=0)
        with pytest.raises(ModbusException):
            client.read_holding_registers(0, count=7)
        time.sleep(0.25)
        assert client.read_holding_registers(0).registers == [0xBAD]  # wrong, and reported as good
        client.close()


def test_m6_the_rest_of_a_late_reply_is_never_an_answer():
    with Peer(late_reply(2)) as peer:
        client = CheckedClient("127.0.0.1", peer.port, timeout_s=0.2)
        client.connect()
        with pytest.raises(ModbusException, match="No whole reply"):
            client.read_holding_registers(0, count=7)
        time.sleep(0.25)
        with pytest.raises(ModbusException, match="nobody asked"):
            client.read_holding_registers(0)
        client.close()


@pytest.mark.parametrize("fault", [Fault.DOUBLE_REPLY, Fault.SLOW_REPLY])
def test_m6_what_comes_too_late_or_twice_spends_the_driver(simulator, driver, fault):
    driver.read_status(("S01",))
    simulator.fault(fault, seconds=0.4)
    if fault is Fault.DOUBLE_REPLY:
        driver.write_seq("S01", 0, 1)
    with pytest.raises(DriverError):
        driver.read_status(("S01",))
    with pytest.raises(DriverError, match="not open"):
        driver.read_status(BOTH)


# M7


def deaf(_request):
    time.sleep(0.4)


def test_m7_the_bare_library_counts_half_a_request_as_sent():
    with Peer(deaf) as peer:
        client = bare(peer.port)
        client.connect()
        client.socket.setblocking(False)
        assert client.send(bytes(20_000_000)) < 20_000_000
        client.close()


def test_m7_what_cannot_be_sent_whole_is_an_error():
    with Peer(deaf) as peer:
        client = CheckedClient("127.0.0.1", peer.port, timeout_s=0.2)
        client.connect()
        with pytest.raises(ModbusException, match="could not be sent"):
            client.send(bytes(20_000_000))
        client.close()


# M8


def test_m8_a_reply_that_drips_in_does_not_prolong_the_time_out():
    def drip(request, said):
        return [part for byte in said for part in (bytes([byte]), 0.05)] if is_write(request) else said

    with Peer(Memory(drip)) as peer:
        driver = opened(peer.port)
        began = time.monotonic()
        with pytest.raises(DriverError, match="No whole reply"):
            driver.write_seq("S01", 1, 1)
        assert time.monotonic() - began < 0.45


# M9


def test_m9_the_bare_library_sends_a_write_that_no_device_may_take():
    with Peer(written) as peer:
        client = bare(peer.port)
        assert not client.write_registers(0, [0] * 124).isError()
        with pytest.raises(struct.error):
            client.write_registers(0, [0] * 128)
        client.close()


def test_m9_no_request_of_ours_is_longer_than_the_protocol_allows():
    with Peer(Memory()) as peer:
        driver = opened(peer.port)
        driver.read_status(BOTH)
        driver.write_payload("H01", ROW.payload(), 1)
        counts = [struct.unpack_from(">BHH", request, 7)[2] for request in peer.requests]
        assert max(counts) <= 123
        with pytest.raises(DriverError, match="do not fit"):
            driver._write(0, [0] * 124)

        other = opened(peer.port)
        with pytest.raises(DriverError, match="do not fit"):
            other._read(0, 126)


# M10


def test_m10_the_bare_librarys_text_leaves_the_end_of_an_older_one_and_turns_round():
    kind = ModbusTcpClient.DATATYPE.STRING
    assert len(ModbusTcpClient.convert_to_registers("P-1", kind)) == 2
    assert ModbusTcpClient.convert_from_registers([0x4142, 0x4344], kind, word_order="little") == "CDAB"


def test_m10_a_short_part_id_leaves_nothing_of_a_longer_one_before(simulator, driver):
    for part_id in ("A-VERY-LONG-PART-ID-1234567890", "P-1"):
        driver.write_payload("S01", {**ROW.payload(), "PartId": part_id}, 1)
    assert simulator.tags.disposition("S01")["PartId"] == "P-1"


@pytest.mark.parametrize("part_id", ["", "x" * 33, "Prüfling", "a\0b"])
def test_m10_a_part_id_the_plc_could_misread_is_not_sent(simulator, driver, part_id):
    with pytest.raises(ValueError):
        driver.write_payload("S01", {**ROW.payload(), "PartId": part_id}, 1)
    assert simulator.tags.disposition("S01")["SeqA"] == 0


# M12


def test_m12_another_thread_may_not_use_the_driver(driver):
    caught = []

    def use():
        try:
            driver.read_status(BOTH)
        except RuntimeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert caught == ["A PLC driver belongs to the thread that made it (M12)."]


# M13


def test_m13_a_device_that_takes_a_write_and_keeps_something_else_never_gets_the_number():
    def protected(request):
        said = memory(request)
        memory.values[2:4] = [0, 0]  # this device refuses the result register, silently
        return said

    memory = Memory()
    with Peer(protected) as peer:
        driver = opened(peer.port)
        with pytest.raises(DriverError, match="hold something else"):
            driver.write_payload("S01", ROW.payload(), 1)
        with pytest.raises(DriverError, match="not open"):
            driver.write_seq("S01", 1, 1)


# M14


def test_m14_a_number_torn_between_its_two_registers_is_not_believed():
    memory = Memory()
    memory.values[100:102] = [0, 0xFFFF]

    def tear(request, said):
        if request[8:10] == b"\0\x64" and memory.values[100:102] == [1, 0] and not torn:
            torn.append(1)  # the PLC writes the high word first, and we read in between
            return registers(request, 1, 0xFFFF, *memory.values[102:145])
        return said

    torn = []
    memory.twist = tear
    with Peer(memory) as peer:
        driver = opened(peer.port)
        assert driver.read_status(("S01",))["S01"].ack_seq == 65_535
        memory.values[100:102] = [1, 0]
        assert driver.read_status(("S01",))["S01"].ack_seq == 65_536
        driver.close()

    assert torn == [1]


def test_m14_a_status_that_never_settles_is_an_error():
    def restless(request, said):
        memory.values[101] += 1
        return said

    memory = Memory(restless)
    with Peer(memory) as peer:
        driver = opened(peer.port)
        with pytest.raises(DriverError, match="4 readings in a row all differ"):
            driver.read_status(("S01",))


def test_m14_an_unchanged_status_costs_one_reading():
    with Peer(Memory()) as peer:
        driver = opened(peer.port)
        driver.read_status(("S01",))
        before = len(peer.requests)
        driver.read_status(("S01",))
        assert len(peer.requests) - before == 1
        driver.close()
