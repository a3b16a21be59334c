"""Brings .venv to what the requirement files say: `set_up.py base` or `set_up.py dev`. Standard library only.

Nothing happens when it is there already. Two at once wait for each other, and an installation that was interrupted
is thrown away and done again.
"""

import contextlib
import fcntl
import hashlib
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UNFINISHED = VENV / "unfinished"
LOG = ROOT / "var" / "set_up.log"
FILES = {
    "base": ["requirements.txt", "constraints.txt"],
    "dev": ["requirements-dev.txt", "requirements.txt", "constraints.txt"],
}
SILENCE_S = 5.0


def main(wanted: str) -> None:
    if is_there(wanted):
        return
    with only_one():
        if not is_there(wanted):
            set_up(wanted)


def is_there(wanted: str) -> bool:
    return any(
        stamp(kind).exists() and stamp(kind).read_text() == fingerprint(kind) for kind in {wanted, "dev"}
    ) and (os.access(PYTHON, os.X_OK) and not UNFINISHED.exists())


def stamp(wanted: str) -> Path:
    return VENV / f"installed-{wanted}"


def fingerprint(wanted: str) -> str:
    """Change with the requirement files, the Python and the place: a virtual environment cannot be moved."""
    digest = hashlib.sha256(f"{ROOT} {sys.version_info[:2]}".encode())
    for name in FILES[wanted]:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    LOG.parent.mkdir(exist_ok=True)
    with (LOG.parent / "set_up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up is running in this folder; waiting for it …", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(wanted: str) -> None:
    started_at = time.monotonic()
    if is_broken():
        print("An earlier set-up was interrupted or moved; starting afresh.", flush=True)
        shutil.rmtree(VENV)
    if not PYTHON.exists():
        make_venv()
    for kind in FILES:
        stamp(kind).unlink(missing_ok=True)
    UNFINISHED.touch()
    install(FILES[wanted][0])
    stamp(wanted).write_text(fingerprint(wanted))
    UNFINISHED.unlink()
    print(f"Set up in {time.monotonic() - started_at:.0f} s, {megabytes(VENV)} MB in .venv.", flush=True)


def is_broken() -> bool:
    if not VENV.exists():
        return False
    if UNFINISHED.exists() or not PYTHON.exists():
        return True
    ask = "import pip, sys; print(sys.prefix, *sys.version_info[:2])"
    answer = subprocess.run([PYTHON, "-I", "-c", ask], capture_output=True, text=True, check=False)
    pip = VENV / "bin" / "pip"
    return (
        answer.stdout.split() != [str(VENV), *map(str, sys.version_info[:2])]
        or not pip.exists()
        or str(VENV) not in pip.read_text()
    )


def make_venv() -> None:
    print(f"Making .venv with Python {sys.version.split()[0]} …", flush=True)
    try:
        import ensurepip  # noqa: F401 - asked for here, where its absence has an answer
    except ImportError:
        version = ".".join(map(str, sys.version_info[:2]))
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            sys.exit(
                f"This Python cannot make a virtual environment. On Debian: apt-get install python{version}-venv"
            )
        print(f"Installing Debian's python{version}-venv (once) …", flush=True)
        subprocess.run(["apt-get", "update", "-q"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-q", f"python{version}-venv"], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(f"The virtual environment could not be made:\n{done.stdout}{done.stderr}")


def install(requirements: str) -> None:
    print(f"Installing what {requirements} lists (once, about 1.5 GB; a minute or more) …", flush=True)
    command = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
    ]
    # PYTHONPATH names this folder for the processes of the project; pip has no business there.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with LOG.open("w") as log:
        pip = subprocess.Popen(
            [*command, "-r", str(ROOT / requirements)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            show_progress(pip, log)
        except BaseException:
            pip.terminate()
            pip.wait()
            raise
    if pip.wait() != 0:
        complaints = [line for line in LOG.read_text().splitlines() if line.startswith("ERROR")]
        sys.exit("\n".join([*complaints[-5:], f"The installation failed; pip's whole output is in {LOG}."]))


def show_progress(pip: "subprocess.Popen[str]", log: IO[str]) -> None:
    """Turn pip's output into one short line a step, and never be silent for long."""
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=pass_on, args=(pip, lines), daemon=True).start()
    started_at = time.monotonic()
    found: set[str] = set()
    total = sum("==" in line for line in (ROOT / "constraints.txt").read_text().splitlines())
    while True:
        try:
            line = lines.get(timeout=SILENCE_S)
        except queue.Empty:
            print(f"  … {time.monotonic() - started_at:.0f} s, {megabytes(VENV)} MB so far", flush=True)
            continue
        if line is None:
            return
        log.write(line)
        log.flush()
        if match := re.match(
            r"(?:Collecting|Processing)(?: \S*/| )([A-Za-z0-9_.]+(?:-[A-Za-z][\w.]*)*)", line
        ):
            found.add(match[1].lower())
            print(f"  {len(found)} of at most {total}: {match[1]}", flush=True)
        elif match := re.match(r"\s+Downloading .*/?(\S+) \((.*[GM]B)\)", line):
            print(f"    downloading {match[2]}", flush=True)
        elif line.startswith("Installing collected packages"):
            print(f"  unpacking {line.count(',') + 1} packages …", flush=True)


def pass_on(pip: "subprocess.Popen[str]", lines: "queue.Queue[str | None]") -> None:
    assert pip.stdout is not None
    for line in pip.stdout:
        lines.put(line)
    lines.put(None)


def megabytes(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{place}/{name}").st_blocks * 512
    return total // 10**6


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit("Interrupted; the next start does the set-up again.")
