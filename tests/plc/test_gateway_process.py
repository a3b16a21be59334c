"""Real gateway and PLC processes, really killed: every disposition takes effect exactly once."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.plc.plant import ROOT, Plant, end, wait_until

pytestmark = pytest.mark.faults


@pytest.fixture
def plant(tmp_path, request):
    plant = Plant(tmp_path, protocol=getattr(request, "param", "ethernet_ip"))
    yield plant
    plant.stop()


def acked(plant: Plant, count: int) -> None:
    wait_until(
        lambda: [state for _, _, state in plant.deliveries()].count("acked") == count, what=f"{count} acks"
    )


def numbers_applied(plant: Plant) -> list[int]:
    return [line["seq"] for line in plant.plc_log() if line["code"] == 1]


@pytest.mark.parametrize("plant", ["ethernet_ip", "modbus"], indirect=True)
def test_a_killed_gateway_and_a_killed_plc_lose_and_double_nothing(plant):
    plc, gateway = plant.start_plc(), plant.start_gateway()
    stream = plant.start_doing("parts(60, 0.1, 0.05)")
    for mark in (5, 20, 40):
        wait_until(lambda n=mark: len(plant.plc_log()) >= n, what=f"disposition {mark}")
        end(gateway, signal.SIGKILL)
        gateway = plant.start_gateway()
    wait_until(lambda: stream.poll() is not None, what="the end of the parts")
    end(plc, signal.SIGKILL)
    plc = plant.start_plc()
    plant.do("parts(5, 0.9)")
    acked(plant, 65)
    assert numbers_applied(plant) == list(range(1, 66))
    assert [seq for _, seq, _ in plant.deliveries()] == list(range(1, 66))
    assert end(gateway) == 0
    assert end(plc) == 0


def test_a_second_gateway_waits_and_takes_over_within_the_lease(plant):
    plant.start_plc()
    first = plant.start_gateway("first")
    plant.do("parts(3, 0.1)")
    acked(plant, 3)
    second = plant.start_gateway("second")
    wait_until(lambda: "waiting for its lease" in plant.output_of("second"), what="the waiting sentence")
    assert end(first) == 0
    assert "handed over" in plant.output_of("first")
    began = time.monotonic()
    wait_until(lambda: "fencing number 2" in plant.output_of("second"), what="the take-over")
    assert time.monotonic() - began < 3.0
    plant.do("parts(3, 0.1)")
    acked(plant, 6)
    assert numbers_applied(plant) == [1, 2, 3, 4, 5, 6]
    assert end(second) == 0
    assert plant.rows("SELECT lease_owner, lease_expires_at FROM plc_plclink") == [("", None)]


def test_a_gateway_without_its_plc_says_so_and_delivers_when_it_comes(plant):
    gateway = plant.start_gateway()
    plant.do("decided_part(Station.objects.get(), 0.1, trigger_seq=1)")
    wait_until(
        lambda: plant.rows("SELECT alarm FROM plc_plclink")[0][0].startswith("link: "), what="the alarm"
    )
    plant.start_plc()
    wait_until(lambda: plant.deliveries() == [("S", 1, "refused")], what="the PLC's answer")
    assert end(gateway) == 0


def test_a_gateway_for_an_unknown_plc_ends_with_a_sentence(plant):
    gateway = plant.start_gateway(code="PLC9")
    assert gateway.wait(timeout=30) == 1
    assert "There is no PLC link PLC9." in plant.output_of("gateway")


def test_a_protocol_the_simulator_does_not_speak_is_refused_with_those_it_speaks():
    done = subprocess.run(
        [sys.executable, "manage.py", "simulate_plc", "--protocol", "profinet"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "ethernet_ip" in done.stderr
