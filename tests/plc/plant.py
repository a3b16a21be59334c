"""A plant of real processes on a file database: gateway and simulator may be killed, the rows and the log stay."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PRELUDE = """
import time
import django; django.setup()
from accounts.models import Person
from inspection.actions import dispose
from inspection.models import Part, Station
from inspection.states import Outcome, Reason, Source
from plc.actions import set_up_link
from plc.simulator import SensorWire
from tests.factories import TESTER, decided_part, golden, inspector, station

def parts(count, score, every_s=0.0):
    at, first = Station.objects.get(), Part.objects.count() + 1
    with SensorWire("127.0.0.1", SENSOR_PORT) as wire:
        for seq in range(first, first + count):
            wire.pulse(at.code, seq, f"{at.code}-1-{seq}")
            decided_part(at, score, trigger_seq=seq)
            time.sleep(every_s)
"""


class Plant:
    """folder: database, PLC log and PLC memory; every process started here is ended by `stop`."""

    def __init__(self, folder: Path, *, gate_s: float = 60.0, protocol: str = "ethernet_ip") -> None:
        self.folder = folder
        self.log = folder / "plc.jsonl"
        self.port, self.sensor_port = _free_port(), _free_port()
        self._gate_s = gate_s
        self._protocol = protocol
        self._processes: list[subprocess.Popen] = []
        self._env = {
            **os.environ,
            "DATA_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{folder / 'plant.sqlite3'}",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONWARNINGS": "default",
        }
        self._run("manage.py", "migrate", "--verbosity", "0")
        self.do(
            "at = station(); golden(at); "
            f"set_up_link(code='PLC1', host='127.0.0.1', port={self.port}, station=at, actor=TESTER, "
            f"driver='{protocol}')"
        )

    def do(self, source: str) -> None:
        """Run Python in a process of its own, with `parts(count, score)` and the factories at hand."""
        self._run("-c", self._source(source))

    def start_doing(self, source: str) -> subprocess.Popen:
        """The same, beside whatever the test does meanwhile."""
        return self._start("-c", self._source(source), name="doing")

    def _source(self, source: str) -> str:
        return f"SENSOR_PORT = {self.sensor_port}\n{PRELUDE}\n{source}"

    def rows(self, sql: str, *values: object) -> list[tuple]:
        with sqlite3.connect(self.folder / "plant.sqlite3", timeout=10) as database:
            rows = database.execute(sql, values).fetchall()
        database.close()
        return rows

    def deliveries(self) -> list[tuple[str, int, str]]:
        return self.rows(
            "SELECT substr(m.code, 1, 1), d.seq, d.state FROM plc_delivery d JOIN plc_mailbox m ON m.id = d.mailbox_id"
            " ORDER BY d.disposition_id"
        )

    def plc_log(self, event: str = "disposition") -> list[dict]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def start_plc(self) -> subprocess.Popen:
        stations = ",".join(
            f"{s}:{h}" for s, h in self.rows("SELECT code, hold_mailbox FROM inspection_station")
        )
        process = self._start(
            "manage.py", "simulate_plc", "--protocol", self._protocol, "--port", str(self.port), "--sensor-port", str(self.sensor_port),
            "--log", str(self.log), "--state", str(self.folder / "plc.json"), "--stations", stations,
            "--gate-s", str(self._gate_s), "--hold-capacity", "500", name="plc",
        )  # fmt: skip
        wait_until(lambda: _answers(self.port) and _answers(self.sensor_port), what="the PLC")
        return process

    def start_gateway(self, name: str = "gateway", *, code: str = "PLC1") -> subprocess.Popen:
        return self._start("manage.py", "run_gateway", code, name=name)

    def output_of(self, name: str) -> str:
        return (self.folder / f"{name}.out").read_text()

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _run(self, *arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], cwd=ROOT, env=self._env, check=True, timeout=120)

    def _start(self, *arguments: str, name: str) -> subprocess.Popen:
        with (self.folder / f"{name}.out").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments], cwd=ROOT, env=self._env, stdout=output, stderr=output
            )
        self._processes.append(process)
        return process


def end(process: subprocess.Popen, number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(timeout=15)


def wait_until(is_so: Callable[[], object], *, what: str, within_s: float = 30.0) -> None:
    until = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until, f"{what} did not come in time"
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
