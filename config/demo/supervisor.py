"""Starts the processes of the demo in order, restarts one that dies, and stops them all.

    with Supervisor(data_dir=Path("var"), processes=[valkey, web, worker]) as supervisor:
        supervisor.wait()          # until Ctrl-C, SIGTERM or a closed terminal: KeyboardInterrupt

Below the data folder: `logs/NAME.log` (older ones beside it), `run/NAME.pid` while a process lives, and `run/lock`,
which refuses a second supervisor. What keeps a process from outliving a killed supervisor stands in guard.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from config.demo.watch import CannotStart, Watch, take_data_folder

BACK_OFF_S = (0.2, 5.0)  # before the first restart, and at most
STEADY_AFTER_S = 10.0  # a process that lived this long did not die of its own start
LOUD_AFTER_DEATHS = 3
LOG_BYTES = 5_000_000
OLD_LOGS = 3
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class ProcessSpec:
    """One process that the supervisor keeps.

    name              of its log and pid file
    argv              the command
    env               added to the supervisor's own environment
    ready             says when the next process may start; without it that is at once, and an early death is
                      a death like any other
    ready_within_s    longest wait for it at the first start
    restart           whether it is started again when it dies
    ends_by_itself    exit code 0 means that its work is done: it is not started again
    grace_s           time between SIGTERM and SIGKILL when it is stopped
    log               where its output goes; without it `logs/NAME.log` in the data folder
    cwd               its working folder; without it the supervisor's
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    ready_within_s: float = 60.0
    restart: bool = True
    ends_by_itself: bool = False
    grace_s: float = 5.0
    log: Path | None = None
    cwd: Path | None = None


class Supervisor:
    """Keeps a list of processes alive, in the order in which they need one another.

    data_dir    whose `logs/` and `run/` it uses; one supervisor per folder
    processes   started in this order, stopped in the reverse one; `add` starts more
    say         gets each line meant for the terminal

    `start` raises CannotStart when a process dies or is not ready in time; whatever had started is stopped then.
    """

    def __init__(
        self, *, data_dir: Path, processes: Sequence[ProcessSpec] = (), say: Callable[[str], None] = print
    ) -> None:
        self.data_dir = data_dir
        self._specs = list(processes)
        self._say = say
        self._keepers: list[_Keeper] = []
        self._watch: Watch | None = None
        self._stopping = threading.Event()
        self._old_handlers: dict[signal.Signals, signal.Handlers | Callable[..., object] | int | None] = {}

    def __enter__(self) -> Self:
        self._listen_to_signals()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start every process, each after the one before it is ready."""
        try:
            self._watch = Watch(take_data_folder(self.data_dir))
            for spec in self._specs:
                self.add(spec)
        except BaseException:
            self.stop()
            raise

    def add(self, spec: ProcessSpec) -> None:
        """Start one more process and wait until it is ready."""
        if self._watch is None:
            raise CannotStart("The supervisor does not run.")
        keeper = _Keeper(spec, data_dir=self.data_dir, watch=self._watch, say=self._say)
        self._keepers.append(keeper)
        keeper.start()
        keeper.wait_until_ready()

    def wait(self, seconds: float | None = None) -> None:
        """Sleep until a stop is asked for (KeyboardInterrupt in the main thread) or the time is over."""
        self._stopping.wait(seconds)

    def pids(self) -> dict[str, int]:
        """Who lives, by name; a process between its death and its restart is missing."""
        return {keeper.spec.name: keeper.pid for keeper in self._keepers if keeper.pid is not None}

    def restarts(self) -> dict[str, int]:
        """How often each process had to be started again."""
        return {keeper.spec.name: keeper.restarts for keeper in self._keepers}

    def stop(self) -> None:
        """Stop every process, last started first; a second Ctrl-C meanwhile kills them all at once."""
        self._stopping.set()
        for number in self._old_handlers:
            signal.signal(number, self._kill_all)
        for keeper in reversed(self._keepers):
            keeper.stop()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._old_handlers.clear()

    def _listen_to_signals(self) -> None:
        """Let SIGTERM and a closed terminal end the `with` block as Ctrl-C does."""
        if threading.current_thread() is not threading.main_thread():
            return  # signals belong to the main thread, and so does the answer to them
        for number in STOP_SIGNALS:
            self._old_handlers[number] = signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        raise KeyboardInterrupt

    def _kill_all(self, number: int, frame: FrameType | None) -> None:
        for keeper in self._keepers:
            keeper.kill()


class _Keeper(threading.Thread):
    """Starts one process, waits for its death and starts it again.

    The kernel ties a process to the *thread* that started it, so the thread lives at least as long as the process.
    """

    def __init__(
        self, spec: ProcessSpec, *, data_dir: Path, watch: Watch, say: Callable[[str], None]
    ) -> None:
        super().__init__(name=f"keeper of {spec.name}", daemon=True)
        self.spec = spec
        self.pid: int | None = None
        self.restarts = 0
        self._watch = watch
        self._say = say
        self._log = spec.log or data_dir / "logs" / f"{spec.name}.log"
        self._pid_file = data_dir / "run" / f"{spec.name}.pid"
        self._asked_to_stop = threading.Event()
        self._ready_once = threading.Event()
        self._started_once = threading.Event()
        self._last_end = ""
        self._alive = threading.RLock()  # held while the pid may be signalled or given up

    def run(self) -> None:
        deaths_in_a_row = 0
        while not self._asked_to_stop.is_set():
            started_at = time.monotonic()
            how, code = self._live_once()
            self._last_end = how
            self._started_once.set()
            if self._asked_to_stop.is_set() or not self._comes_back(code):
                if not self._asked_to_stop.is_set():
                    self._say(f"{self.spec.name} ended ({how}).")
                return
            lived_long = time.monotonic() - started_at >= STEADY_AFTER_S
            deaths_in_a_row = 1 if lived_long else deaths_in_a_row + 1
            self.restarts += 1
            pause_s = min(BACK_OFF_S[1], BACK_OFF_S[0] * 2 ** (deaths_in_a_row - 1))
            if self.spec.ready is None or self._ready_once.is_set():  # else wait_until_ready says it
                self._tell(how, deaths_in_a_row=deaths_in_a_row, pause_s=pause_s)
            self._asked_to_stop.wait(pause_s)

    def wait_until_ready(self) -> None:
        """Return when the process does its work; raise CannotStart when it dies first or takes too long."""
        self._started_once.wait()
        give_up_at = time.monotonic() + self.spec.ready_within_s
        while self.spec.ready is not None and not (self.pid is not None and self.spec.ready()):
            if self._last_end:
                raise CannotStart(f"{self.spec.name} did not start ({self._last_end}). {self._last_words()}")
            if time.monotonic() > give_up_at:
                raise CannotStart(
                    f"{self.spec.name} was not ready within {self.spec.ready_within_s:g} s. {self._last_words()}"
                )
            time.sleep(0.05)
        self._ready_once.set()

    def stop(self) -> None:
        """Ask the process to end, and make it end when its grace is over."""
        self._asked_to_stop.set()
        self._signal(signal.SIGTERM)
        self.join(self.spec.grace_s)
        if self.is_alive():
            self._say(f"{self.spec.name} did not stop within {self.spec.grace_s:g} s and is killed.")
            self.kill()
            self.join()

    def kill(self) -> None:
        """End the process and its children at once."""
        self._asked_to_stop.set()
        with self._alive:
            if self.pid is not None:
                _kill_group(self.pid)

    def _live_once(self) -> tuple[str, int]:
        """Run the process from its start to its death; say how it died."""
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            _rotate(self._log)
            with self._log.open("ab", buffering=0) as log:
                pid = self._watch.popen(
                    self.spec.argv, env={**os.environ, **self.spec.env}, cwd=self.spec.cwd, log=log
                )
        except OSError as error:  # no room for its log, no more processes: tried again like any death
            return f"cannot be started: {error.strerror}", os.EX_OSERR
        with self._alive:
            self.pid = pid
        self._started_once.set()
        if self._asked_to_stop.is_set():
            self.kill()  # the stop came while it was being started, and found no pid
        _write_whole(self._pid_file, f"{pid}\n")
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            status = None  # not reaped yet: its number cannot be a stranger's while its group is killed
        else:
            status = os.waitpid(pid, 0)[1]  # macOS before Python 3.13
        with self._alive:
            _kill_group(pid)
            self.pid = None
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1] if status is None else status)
        self._watch.forget(pid)
        self._pid_file.unlink(missing_ok=True)
        return _how_it_ended(code), code

    def _comes_back(self, code: int) -> bool:
        return self.spec.restart and not (self.spec.ends_by_itself and code == 0)

    def _signal(self, number: signal.Signals) -> None:
        with self._alive:
            if self.pid is not None:
                os.kill(self.pid, number)

    def _tell(self, how: str, *, deaths_in_a_row: int, pause_s: float) -> None:
        name = self.spec.name
        if deaths_in_a_row < LOUD_AFTER_DEATHS:
            self._say(f"{name} died ({how}); restart {self.restarts} in {pause_s:g} s.")
        else:
            self._say(
                f"!!! {name} keeps dying: {deaths_in_a_row} times in a row ({how}); "
                f"restart {self.restarts} in {pause_s:g} s. {self._last_words()}"
            )

    def _last_words(self) -> str:
        lines = _tail(self._log)
        return f"Its log {self._log} ends with: {lines}" if lines else f"Its log {self._log} is empty."


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _how_it_ended(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def _rotate(log: Path) -> None:
    """Set a log that grew too long aside, so that the newest is never the largest."""
    if not log.exists() or log.stat().st_size < LOG_BYTES:
        return
    for age in range(OLD_LOGS, 0, -1):
        older = log.with_name(f"{log.name}.{age}")
        newer = log if age == 1 else log.with_name(f"{log.name}.{age - 1}")
        if newer.exists():
            newer.replace(older)


def _tail(log: Path) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2_000))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return " | ".join(lines[-3:])


def _write_whole(path: Path, text: str) -> None:
    """Write so that a reader sees the old content or the new one, never half of it."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="ascii")
    part.replace(path)
