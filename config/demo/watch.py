"""The supervisor's side of guard.py: the watch it starts, and the data folder that only one supervisor may use."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

GUARD = Path(__file__).with_name("guard.py")
LOCK_PATIENCE_S = 5.0  # a killed supervisor's watch needs a moment to end the rest


class CannotStart(Exception):  # noqa: N818 - named as what happened
    """One sentence for the person at the terminal; nothing is left running."""


class Watch:
    """The process that outlives a killed supervisor just long enough to take the others with it.

    lock   of the data folder; the watch holds it too, so that a new supervisor starts only after the old one's end
    """

    def __init__(self, lock: IO[str]) -> None:
        self._lock = lock
        self._reader, self._writer = os.pipe()
        self._groups: set[int] = set()
        self._changing = threading.Lock()
        self._closed = False
        self._process = self._start()
        threading.Thread(target=self._keep, name="keeper of the watch", daemon=True).start()

    def popen(self, argv: Sequence[str], *, env: dict[str, str], cwd: Path | None, log: IO[bytes]) -> int:
        """Start a command that cannot outlive this process; give its pid, which is its group's number too."""
        guarded = [sys.executable, "-I", "-S", str(GUARD), "exec", str(self._writer), str(os.getpid()), *argv]
        process = subprocess.Popen(
            guarded,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[self._writer],
        )
        process.returncode = 0  # the keeper reaps it by pid; Popen must not try as well
        with self._changing:
            self._groups.add(process.pid)
        return process.pid

    def forget(self, group: int) -> None:
        """Leave the group alone from now on: its number may come back for a stranger."""
        with self._changing:
            self._groups.discard(group)
            os.write(self._writer, f"-{group}\n".encode())

    def close(self) -> None:
        """End the watch and free the data folder."""
        with self._changing:
            self._closed = True
            os.close(self._writer)
        self._process.wait()
        os.close(self._reader)
        self._lock.close()

    def _start(self) -> subprocess.Popen[bytes]:
        # The reading end stays open here as well: lines written while no watch lives wait in the pipe.
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), "watch", str(self._reader)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[self._reader, self._lock.fileno()],
        )

    def _keep(self) -> None:
        """Start the watch again if something killed it, and tell the new one what lives."""
        while True:
            self._process.wait()
            with self._changing:
                if self._closed:
                    return
                self._process = self._start()
                for group in self._groups:
                    os.write(self._writer, f"+{group}\n".encode())


def take_data_folder(data_dir: Path) -> IO[str]:
    """Take the folder for this supervisor until the file is closed; raise CannotStart if another one has it."""
    lock = _open_lock(data_dir)
    give_up_at = time.monotonic() + LOCK_PATIENCE_S
    while not _locked(lock):
        holder = _holder(lock)
        if _lives(holder) or time.monotonic() > give_up_at:
            lock.close()
            raise CannotStart(_in_use(data_dir, holder))
        time.sleep(0.05)
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    for stale in (data_dir / "run").glob("*.pid"):
        stale.unlink(missing_ok=True)
    return lock


def refuse_a_folder_in_use(data_dir: Path) -> None:
    """Raise CannotStart if another process has the folder; used before anything in it is changed."""
    with _open_lock(data_dir) as lock:
        if not _locked(lock):
            holder = _holder(lock)
            if holder != str(os.getpid()) and _lives(holder):
                raise CannotStart(_in_use(data_dir, holder))


def _open_lock(data_dir: Path) -> IO[str]:
    path = data_dir / "run" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a+", encoding="ascii")


def _holder(lock: IO[str]) -> str:
    lock.seek(0)
    return lock.read().strip()


def _in_use(data_dir: Path, holder: str) -> str:
    return (
        f"{data_dir} is in use by another start of Second Look (pid {holder or 'unknown'}). "
        "Stop that one first, or choose another folder with --data-dir."
    )


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(pid: str) -> bool:
    if not pid.isdigit():
        return False
    with contextlib.suppress(PermissionError):  # it lives and is somebody else's
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return False
    return True
