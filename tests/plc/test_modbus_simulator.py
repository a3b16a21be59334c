"""The simulated PLC as a Modbus server: register by register, and read by an independent client (libmodbus' mbpoll)."""

import shutil
import socket
import struct
import subprocess

import pytest
from pymodbus.client import ModbusTcpClient

from plc.drivers.modbus import ModbusDriver
from plc.handshake import Disposition, Result, Source
from plc.simulator.faults import Fault
from plc.simulator.modbus import ModbusSimulator
from tests.plc.modbus_peer import HEADER

ROW = Disposition(
    seq=70_000,
    part_id="S01-1-42",
    trig_seq=42,
    result=Result.HOLD,
    source=Source.HUMAN,
    final=True,
    reason=5,
    confidence=0.25,
    model_version=12,
)


@pytest.fixture
def simulator():
    with ModbusSimulator(gate_s=60) as simulator:
        yield simulator


@pytest.fixture
def client(simulator):
    client = ModbusTcpClient("127.0.0.1", port=simulator.port, timeout=1, retries=0)
    yield client
    client.close()


def raw(simulator, request):
    """One answer's body to hand-made bytes; empty if the controller closed."""
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=2) as wire:
        wire.sendall(request)
        try:
            head = wire.recv(HEADER.size, socket.MSG_WAITALL)
        except ConnectionResetError:
            return b""
        return wire.recv(HEADER.unpack(head)[2] - 1, socket.MSG_WAITALL) if head else b""


def ask(simulator, body, *, unit=1):
    return raw(simulator, HEADER.pack(7, 0, len(body) + 1, unit) + body)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (struct.pack(">BHH", 3, 144, 1), "03 02 0001"),  # Mode
        (struct.pack(">BHH", 4, 121, 2), "04 04 0000 0001"),  # as input registers too
        (struct.pack(">BHH", 3, 145, 1), "83 02"),  # behind the last
        (struct.pack(">BHH", 3, 38, 1), "83 02"),  # in the gap
        (struct.pack(">BHH", 3, 400, 1), "83 02"),  # behind the last mailbox
        (struct.pack(">BHH", 3, 0, 0), "83 03"),
        (struct.pack(">BHH", 3, 0, 126), "83 03"),
        (struct.pack(">B", 3), "83 03"),
        (struct.pack(">BHH", 1, 0, 1), "81 01"),  # no coils here
        (struct.pack(">BHH", 6, 100, 1), "86 02"),  # AckSeq is the PLC's
        (struct.pack(">BHHBHH", 16, 0, 2, 2, 0, 1), "90 03"),
        (struct.pack(">BHHBH", 16, 0, 2, 4, 0), "90 03"),
        (struct.pack(">BHH", 6, 37, 3), "06 0025 0003"),
    ],
)
def test_requests_are_answered_as_the_protocol_says(simulator, body, answer):
    assert ask(simulator, body) == bytes.fromhex(answer)


def test_another_unit_is_not_here(simulator):
    assert ask(simulator, struct.pack(">BHH", 3, 0, 1), unit=2) == b"\x83\x0b"


def test_a_write_that_reaches_a_register_of_the_plc_writes_nothing_at_all(simulator, client):
    before = client.read_holding_registers(36, count=2).registers
    assert client.write_registers(36, [1] * 80).isError()
    assert client.read_holding_registers(36, count=2).registers == before


def test_bytes_that_are_no_modbus_end_the_connection_and_nothing_else(simulator, client):
    for junk in (b"GET / HTTP/1.1\r\n\r\n", HEADER.pack(1, 0, 0, 1), HEADER.pack(1, 7, 6, 1) + bytes(5)):
        assert raw(simulator, junk) == b""
    assert client.read_holding_registers(144).registers == [1]


def test_a_lenient_controller_reads_gaps_as_zero_and_swallows_writes_there():
    with ModbusSimulator(strict=False) as simulator:
        assert ask(simulator, struct.pack(">BHH", 3, 38, 2)) == b"\x03\x04\0\0\0\0"
        assert ask(simulator, struct.pack(">BHH", 6, 60, 9)) == struct.pack(">BHH", 6, 60, 9)


def test_a_payload_that_is_only_half_there_is_not_carried_out(simulator, client):
    simulator.pulse("S01", 1, "P-1")
    client.write_registers(2, [0, 1])  # the result, and no SeqA or SeqB
    client.write_registers(0, [0, 1])
    simulator.sleep(0.05)
    assert client.read_holding_registers(100, count=3).registers == [0, 0, 0]
    client.write_registers(6, [0x502D, 0x3100])  # P-1
    client.write_registers(22, [0, 1, 0, 1])  # SeqA, TrigSeq
    simulator.sleep(0.05)
    assert client.read_holding_registers(100, count=3).registers == [0, 0, 0]
    client.write_registers(34, [0, 1])
    simulator.sleep(0.05)
    assert client.read_holding_registers(100, count=5).registers == [0, 1, 1, 0x502D, 0x3100]


def test_the_controller_is_reachable_from_this_machine_only():
    with pytest.raises(ValueError, match="this machine only"):
        ModbusSimulator(host="0.0.0.0")


def test_faults_of_other_protocols_are_refused(simulator):
    with pytest.raises(ValueError, match="cannot happen over Modbus"):
        simulator.fault(Fault.FORWARD_OPEN_REFUSED)


def test_memory_and_boot_counter_survive_a_restart(tmp_path):
    files = {"log": tmp_path / "plc.jsonl", "state": tmp_path / "plc.json"}
    with ModbusSimulator(**files) as simulator:
        ask(simulator, struct.pack(">BHHBHH", 16, 36, 2, 4, 0, 9))
    with ModbusSimulator(**files) as simulator:
        assert ask(simulator, struct.pack(">BHH", 3, 36, 2)) == b"\x03\x04\0\0\0\x09"
        assert ask(simulator, struct.pack(">BHH", 3, 121, 2)) == b"\x03\x04\0\0\0\x02"


# --- an independent peer -----------------------------------------------------------------------------------
def mbpoll(simulator, *arguments, values=()):
    """What libmodbus' command reads, register by register (PDU addresses), high word first."""
    program = shutil.which("mbpoll")
    if program is None:
        pytest.skip("not run: mbpoll is not installed (Debian: apt-get install mbpoll)")
    done = subprocess.run(
        [program, "-m", "tcp", "-p", str(simulator.port), "-a", "1", "-0", "-B", "-1", "-q", *arguments,
         "127.0.0.1", *values],
        capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    lines = [line.partition(":") for line in done.stdout.splitlines() if line.startswith("[")]
    return {int(place.strip("[]")): value.strip() for place, _, value in lines}


def test_an_independent_client_reads_what_our_driver_wrote(simulator):
    driver = ModbusDriver("127.0.0.1", simulator.port, ("S01", "H01"))
    mbpoll(simulator, "-r", "144")  # the skip comes before anything is open
    driver.open()
    driver.write_payload("H01", ROW.payload(), 8)
    driver.close()

    numbers = mbpoll(simulator, "-t", "4:int", "-r", "222", "-c", "8")
    assert numbers == {
        222: "70000",
        224: "42",
        226: "5",
        228: "2",
        230: "1",
        232: "12",
        234: "70000",
        236: "8",
    }
    assert mbpoll(simulator, "-t", "4:int", "-r", "202") == {202: "3"}
    assert mbpoll(simulator, "-t", "4:float", "-r", "204") == {204: "0.25"}
    text = mbpoll(simulator, "-t", "4:hex", "-r", "206", "-c", "16")
    assert bytes.fromhex("".join(value[2:] for value in text.values())).rstrip(b"\0") == b"S01-1-42"


def test_an_independent_client_hands_a_disposition_over_and_reads_the_ack(simulator):
    simulator.pulse("S01", 1, "P-1")
    mbpoll(simulator, "-r", "6", values=("20525", "12544"))  # P-1
    mbpoll(simulator, "-t", "4:int", "-r", "2", values=("2",))
    mbpoll(simulator, "-t", "4:int", "-r", "22", values=("1", "1"))
    mbpoll(simulator, "-t", "4:int", "-r", "34", values=("1",))
    mbpoll(simulator, "-t", "4:int", "-r", "0", values=("1",))
    simulator.sleep(0.05)
    assert mbpoll(simulator, "-t", "4:int", "-r", "100") == {100: "1"}
    assert mbpoll(simulator, "-r", "102", "-c", "3") == {102: "1", 103: "20525", 104: "12544"}
