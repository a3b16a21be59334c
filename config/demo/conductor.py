"""Starts the line's processes, shows what happens, and brings an unattended run to its summary."""

import json
import os
import random
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import redis
from django.conf import settings
from django.utils import timezone

from config.demo.closing import Closing
from config.demo.options import BASE_DIR, Options
from config.demo.people import Session, SimulatedExpert, SimulatedInspector, SimulatedPerson, TruthLog
from config.demo.prepare import DEMO, PEOPLE, prepare
from config.demo.supervisor import ProcessSpec, Supervisor
from config.demo.watch import CannotStart
from config.demo.watching import PartPrinter
from inspection.pulse import KEY as INSPECT_PULSE
from inspection.queries import next_trigger_seq
from plc.actions import reset_alarm
from plc.queries import link_health, link_of

READY_WITHIN_S = 60.0
HOLD_LANE = 200  # places in the simulated hold lane: an unattended demo must not run into it at once


class Conductor:
    def __init__(self, options: Options, supervisor: Supervisor, say: Callable[[str], None]) -> None:
        self._options, self._supervisor, self._say = options, supervisor, say
        self._data_dir = options.data_dir
        self.address = f"http://127.0.0.1:{_free_port(options.port)}"
        self._plc_port, self._sensor_port = _own_port(), _own_port()
        self._truth = TruthLog(self._data_dir / "truth.jsonl")
        self._plc_log = self._data_dir / "plc-log.jsonl"
        self._stop_people = threading.Event()

    def start_line(self) -> None:
        """Prepare what is missing, start every process, and let the parts come when all of them are ready."""
        self._prepared = prepare(self._options, self._plc_port, self._say)
        self._first_seq = next_trigger_seq(self._prepared.station)
        self._say("Starting web, inspect worker, sweeper, PLC simulator and gateway.")
        for spec in self._crew():
            self._supervisor.add(spec)
        self._await("the web server", self._web_answers)
        self._await("the inspect worker", self._worker_is_warm)
        self._await("the PLC link", self._plc_is_connected)
        self._note_our_own_restart()
        self._introduce()
        self._printer = PartPrinter(self._say)
        self._supervisor.add(self._station())
        self._supervisor.add(celery_worker("train"))

    def watch_for_ever(self) -> int:
        """Print a line per part until Ctrl-C."""
        while True:
            self._printer.print_new()
            self._supervisor.wait(0.3)

    def finish(self) -> int:
        """Simulated people finish all cases, a retrained candidate is activated, the summary is printed."""
        people = self._hire()
        try:
            closing = Closing(
                options=self._options,
                prepared=self._prepared,
                first_seq=self._first_seq,
                truth=self._truth,
                plc_log=self._plc_log,
                developer=self._session("developer"),
                say=self._say,
                tick=self._tick,
            )
            summary, is_clean = closing.run()
        finally:
            self._stop_people.set()
            for person in people:
                person.join(timeout=5)
        self._supervisor.stop()
        self._say(json.dumps(summary))
        return 0 if is_clean else 1

    # --- the crew -----------------------------------------------------------------------------------------
    def _crew(self) -> list[ProcessSpec]:
        """All but the station and the train worker; heavy imports run side by side."""
        return [
            celery_worker("inspect"),
            self._manage(
                "simulator",
                "simulate_plc",
                *("--port", str(self._plc_port), "--sensor-port", str(self._sensor_port)),
                *("--log", str(self._plc_log), "--state", str(self._data_dir / "plc-state.json")),
                *("--stations", "S01:H01", "--hold-capacity", str(HOLD_LANE), "--gate-s", "4"),
            ),
            web_server(int(self.address.rpartition(":")[2])),
            self._manage("gateway", "run_gateway", "PLC1"),
            self._manage("sweeper", "run_sweeper"),
        ]

    def _station(self) -> ProcessSpec:
        last = (
            () if not self._options.parts else ("--until-seq", str(self._first_seq + self._options.parts - 1))
        )
        spec = self._manage(
            "station",
            "run_station",
            *("S01", "--images", str(self._prepared.images), "--rate", str(self._options.rate)),
            *("--seed", str(self._options.seed), "--sensor", f"127.0.0.1:{self._sensor_port}"),
            *("--truth-log", str(self._truth.path), *last),
        )
        return ProcessSpec(spec.name, spec.argv, cwd=BASE_DIR, ends_by_itself=bool(last))

    def _manage(self, name: str, *arguments: str) -> ProcessSpec:
        return ProcessSpec(name, [sys.executable, "manage.py", *arguments], cwd=BASE_DIR)

    # --- readiness ----------------------------------------------------------------------------------------
    def _await(self, what: str, is_ready: Callable[[], bool]) -> None:
        give_up_at = time.monotonic() + READY_WITHIN_S
        while not is_ready():
            if time.monotonic() > give_up_at:
                raise CannotStart(
                    f"{what} was not ready within {READY_WITHIN_S:.0f} s. See {self._data_dir / 'logs'}."
                )
            self._supervisor.wait(0.05)

    def _web_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health/live", timeout=2) as answer:  # noqa: S310
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def _worker_is_warm(self) -> bool:
        try:
            with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1) as broker:
                return bool(broker.exists(INSPECT_PULSE))
        except redis.RedisError:
            return False

    def _plc_is_connected(self) -> bool:
        link = link_of(self._prepared.station)
        return link is not None and link_health(link, timezone.now()).is_up

    def _note_our_own_restart(self) -> None:
        """A restarted PLC is a notice for a person; here it was this start that restarted it."""
        link = link_of(self._prepared.station)
        if link is not None:
            reset_alarm(link=link, actor=DEMO)

    # --- people -------------------------------------------------------------------------------------------
    def _introduce(self) -> None:
        self._say("")
        self._say(f"  Second Look runs at  {self.address}")
        self._say(f"  People               {', '.join(username for username, _, _ in PEOPLE)}")
        self._say(f"  Password of each     {self._prepared.password}")
        self._say(f"  Camera token         {self._prepared.camera_token}")
        self._say(f"  PLC (EtherNet/IP)    127.0.0.1:{self._plc_port}, its own log {self._plc_log.name}")
        self._say(f"  Data, logs           {self._data_dir}")
        self._say("  Stop                 Ctrl-C")
        self._say("")

    def _session(self, username: str) -> Session:
        return Session(self.address, username, self._prepared.password)

    def _hire(self) -> list[SimulatedPerson]:
        people: list[SimulatedPerson] = [
            SimulatedInspector(self._session("inspector1"), self._truth, self._stop_people, seed=11),
            SimulatedInspector(self._session("inspector2"), self._truth, self._stop_people, seed=12),
            SimulatedExpert(self._session("expert"), self._truth, self._stop_people, seed=13),
        ]
        for person in people:
            person.start()
        return people

    def _tick(self) -> None:
        self._printer.print_new()
        self._supervisor.wait(0.3)


def web_server(port: int) -> ProcessSpec:
    """Pages, REST and live messages, as the demo serves them."""
    return ProcessSpec(
        "web",
        [
            *(sys.executable, "-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1"),
            *("--port", str(port), "--no-access-log", "--log-level", "warning"),
            *("--timeout-graceful-shutdown", "2", "--ws-ping-interval", "20"),
        ],
        cwd=BASE_DIR,
    )


def celery_worker(queue: str) -> ProcessSpec:
    """The worker of one queue, as the demo runs it."""
    # torch's threads wait by spinning, and two torch processes that spin on two cores are seven times slower
    # than one thread each: so one core stays free of them, and idle threads sleep.
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 2) - 1)), "OMP_WAIT_POLICY": "PASSIVE"}
    niceness = ["nice", "-n", "10"] if queue == "train" else []
    return ProcessSpec(
        f"{queue}-worker",
        [
            *niceness,
            *(sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", queue, "-P", "solo"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat", "-n", f"{queue}@%h"),
            *("--loglevel", "INFO"),
        ],
        env=threads,
        cwd=BASE_DIR,
    )


def _own_port() -> int:
    """A port for this demo's PLC alone: were it the usual 44818, the gateway of a second demo could meet our PLC
    in the moment in which its own restarts. Below the range from which outgoing connections take theirs.
    """
    return _free_port(random.SystemRandom().randrange(20_000, 30_000))


def _free_port(wanted: int) -> int:
    """The wanted port of 127.0.0.1, or any free one if somebody listens there."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CannotStart("No port of 127.0.0.1 is free.")
