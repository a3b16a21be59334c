"""What every simulated controller has, whatever protocol it speaks: program, scan, sensor wire and fault switches."""

import contextlib
import json
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from plc.simulator.faults import AT_ONCE, Fault, Faults
from plc.simulator.journal import Journal
from plc.simulator.program import PulseError, StationProgram
from plc.simulator.tags import BOOL, REAL, TagTable

SCAN_S = 0.01


class Controller(ABC):
    """A controller in this process; a subclass adds the port through which clients see its tags.

    port, sensor_port  0 takes a free one; read them back after `start`
    log, state         files of `plc.simulator.journal`; None keeps nothing
    stations           ("S01:H01", ...): automatic and late mailbox of each station
    strict             refuse what a strict device refuses

    Use as a context manager, or start() and stop(); both may be called from one thread only.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        sensor_port: int = 0,
        host: str = "127.0.0.1",
        log: Path | str | None = None,
        state: Path | str | None = None,
        stations: Sequence[str] = ("S01:H01",),
        hold_capacity: int = 20,
        gate_s: float = 8.0,
        auto_s: float = 0.5,
        strict: bool = True,
    ) -> None:
        self.host, self.port, self.sensor_port = host, port, sensor_port
        self.strict = strict
        self.faults = Faults()
        self.tags = TagTable()
        self.journal = Journal(Path(log) if log else None, Path(state) if state else None)
        self._clients: set[socket.socket] = set()
        self._wires: set[socket.socket] = set()
        self._listeners: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._frozen_until = 0.0
        self._build_program(stations, hold_capacity, gate_s, auto_s)

    def _build_program(
        self, stations: Sequence[str], hold_capacity: int, gate_s: float, auto_s: float
    ) -> None:
        # Neighbours such as any real program has, so that a wrong instance id hits something.
        self.tags.add("Conveyor_Speed", REAL)
        self.tags.add("Conveyor_Running", BOOL)
        self.tags.add("Conveyor_Counts", count=8)
        self.programs: dict[str, StationProgram] = {}
        for pair in stations:
            station, _, late = pair.partition(":")
            if not station or not late:
                raise ValueError(f"A station is written S01:H01, not {pair!r}.")
            self.tags.add_mailbox(station)
            self.tags.add_mailbox(late)
            self.programs[station] = StationProgram(
                self.tags,
                self.journal,
                station=station,
                late=late,
                hold_capacity=hold_capacity,
                gate_s=gate_s,
                auto_s=auto_s,
            )
        self._mailboxes = [name for p in self.programs.values() for name in (p.station, p.late)]

    # the protocol

    @abstractmethod
    def _open_port(self) -> None:
        """Take `port`. Raises OSError if it is taken; then nothing is left open."""

    @abstractmethod
    def _serve(self) -> None:
        """Let clients in: memory and program are loaded."""

    @abstractmethod
    def _drop_clients(self) -> None:
        """Close every connection without a word."""

    @abstractmethod
    def _close_port(self) -> None:
        """End every connection and give the port back."""

    @property
    @abstractmethod
    def connections(self) -> int:
        """How many a client holds in this controller."""

    # life

    def start(self) -> Self:
        """Raises OSError if a port is taken; then no file was touched: it may be another controller's."""
        try:
            self._open_port()
            sensor = self._listen(self.sensor_port)
        except OSError:
            self._close_port()
            self._close_listeners()
            raise
        self.sensor_port = sensor.getsockname()[1]
        self.journal.open()
        with self.tags.lock:
            self.tags.load(self.journal.memory.get("tags", {}))
            for station, program in self.programs.items():
                program.load(self.journal.memory.get("parts", {}).get(station, []), time.monotonic())
            self._first_scan()
        self._serve()
        self._spawn(self._accept_forever, sensor, self._wires, self._serve_sensor)
        self._spawn(self._scan_forever)
        return self

    def stop(self) -> None:
        self._stopping.set()
        self._wake(self._listeners)
        self._join("plc-_accept_forever")
        self._close_port()
        self._wake([*self._clients, *self._wires])
        self._join("plc-")
        self._close_listeners()
        with self.tags.lock:
            self._commit()
        self.journal.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def sleep(self, seconds: float) -> bool:
        """Sleep unless the controller stops; True if it did."""
        return self._stopping.wait(seconds)

    # the program

    def pulse(self, station: str, trig_seq: int, part_id: str) -> bool:
        """The part-present sensor. False if this very pulse was seen before; raises PulseError."""
        program = self.programs.get(station)
        if program is None:
            raise PulseError(f"There is no station {station!r}.")
        with self.tags.lock:
            is_new = program.pulse(trig_seq, part_id, time.monotonic())
            if is_new:
                self._commit()
        return is_new

    def _first_scan(self) -> None:
        boot = int(self.journal.memory.get("boot", 0)) + 1
        for mailbox in self._mailboxes:
            self.tags.set_number(f"VIS_{mailbox}_PlcBoot", boot)
            self.tags.set_number(f"VIS_{mailbox}_Mode", 1)
        for program in self.programs.values():
            program.power_up(time.monotonic())
        self._boot = boot
        self.journal.note("boot", boot=boot)
        self._commit()

    def _scan_forever(self) -> None:
        while not self._stopping.wait(SCAN_S):
            now = time.monotonic()
            if now < self._frozen_until:
                continue
            with self.tags.lock:
                if sum(program.scan(now) for program in self.programs.values()):
                    self._commit()

    def _commit(self) -> None:
        parts = {station: program.dump(time.monotonic()) for station, program in self.programs.items()}
        self.journal.commit({"boot": self._boot, "tags": self.tags.dump(), "parts": parts})

    # faults

    def fault(
        self, fault: Fault | str, *, count: int = 1, seconds: float = 1.0, writes_only: bool = False
    ) -> None:
        """Let something go wrong, now or at the next occasion."""
        fault = Fault(fault)
        if fault not in AT_ONCE:
            self.faults.arm(fault, count=count, seconds=seconds, writes_only=writes_only)
            return
        self.faults.taken += 1
        if fault is Fault.FREEZE:
            self._frozen_until = time.monotonic() + seconds
        elif fault is Fault.DOWNLOAD:
            self.tags.renumber()
        elif fault is Fault.DROP_ALL:
            self._drop_clients()
        else:
            self._restart(loses_memory=fault is Fault.COUNTER_RESET)

    def _restart(self, *, loses_memory: bool) -> None:
        with self.tags.lock:
            self._drop_clients()
            if loses_memory:
                self.tags.clear()
                for program in self.programs.values():
                    program.lose_memory()
            self._first_scan()

    def status(self) -> dict[str, Any]:
        """For people and tests: what the controller knows of itself."""
        with self.tags.lock:
            mailboxes = {
                name: {
                    tag: self.tags.number(f"VIS_{name}_{tag}")
                    for tag in (
                        "DispSeq",
                        "AckSeq",
                        "AckCode",
                        "AppHb",
                        "PlcHb",
                        "TrigSeq",
                        "HoldFree",
                        "Mode",
                    )
                }
                for name in self._mailboxes
            }
            parts = {
                station: {
                    "on_belt": sum(not part.routed for part in program.parts),
                    "in_hold": sum(part.routed and not part.left for part in program.parts),
                }
                for station, program in self.programs.items()
            }
        return {
            "boot": self._boot,
            "connections": self.connections,
            "faults_taken": self.faults.taken,
            "mailboxes": mailboxes,
            "parts": parts,
        }

    # ports

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server((self.host, port))
        self._listeners.append(listener)
        return listener

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()

    def _accept_forever(
        self, listener: socket.socket, clients: set[socket.socket], serve: Callable[[socket.socket], None]
    ) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            clients.add(client)
            self._spawn(serve, client)

    def _serve_sensor(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, client.makefile("rb") as lines:
            for line in lines:
                client.sendall(json.dumps(self._sensor_reply(line)).encode() + b"\n")
        self._wires.discard(client)

    def _sensor_reply(self, line: bytes) -> dict[str, Any]:
        try:
            message = json.loads(line)
            if "fault" in message:
                self.fault(message.pop("fault"), **message)
                return {"ok": True}
            if "status" in message:
                return {"ok": True, **self.status()}
            if "mode" in message:
                with self.tags.lock:
                    for mailbox, mode in message["mode"].items():
                        self.tags.set_number(f"VIS_{mailbox}_Mode", int(mode))
                return {"ok": True}
            new = self.pulse(message["station"], message["trig_seq"], message["part_id"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}
        return {"ok": True, "new": new}

    def _spawn(self, target: Callable[..., None], *args: Any) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=target, args=args, daemon=True, name=f"plc-{target.__name__}")
        self._threads.append(thread)
        thread.start()

    def _join(self, prefix: str) -> None:
        for thread in self._threads:
            if thread.name.startswith(prefix):
                thread.join(timeout=5)

    def _wake(self, sockets: Sequence[socket.socket]) -> None:
        """Wake whoever blocks on them; each thread then closes its own."""
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
