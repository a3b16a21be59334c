"""kill -9 of every process in turn while the line runs: no part is lost, doubled or passed by silence."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vision.synthetic.folder import write_mvtec_folder

ROOT = Path(__file__).resolve().parents[2]
PARTS, RATE = 110, 4.0
VICTIMS = ("inspect-worker", "gateway", "web", "simulator", "valkey", "sweeper", "station", "inspect-worker")

pytestmark = [pytest.mark.faults, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "disc"
    write_mvtec_folder(folder, good=24, test_good=40, test_bad_per_defect=4, seed=3, progress=lambda *_: None)
    return folder


def wait_for(what, condition, *, seconds, demo):
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert demo.poll() is None, f"the demo ended while the test waited for {what}"
        assert time.monotonic() < give_up_at, f"{what} did not happen within {seconds} s"
        time.sleep(0.1)


def pid_of(data: Path, name: str) -> int | None:
    try:
        return int((data / "run" / f"{name}.pid").read_text())
    except (OSError, ValueError):
        return None


def test_every_process_is_killed_while_the_line_runs_and_every_part_ends_once(images, tmp_path):
    data, output = tmp_path / "data", tmp_path / "output.txt"
    environment = {
        name: value for name, value in os.environ.items() if name not in {"REDIS_URL", "DATABASE_URL"}
    }
    command = [
        *(sys.executable, "-m", "config.demo", "--images", str(images), "--data-dir", str(data)),
        *("--parts", str(PARTS), "--rate", str(RATE), "--port", "0", "--exit-when-done", "--no-browser"),
    ]
    with output.open("w") as file:
        demo = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            wait_for("the line", lambda: "The line runs" in output.read_text(), seconds=180, demo=demo)
            killed = []
            for victim in VICTIMS:
                time.sleep(2.0)
                wait_for(victim, lambda name=victim: pid_of(data, name), seconds=30, demo=demo)
                pid = pid_of(data, victim)
                os.kill(pid, signal.SIGKILL)
                killed.append((victim, pid))
            demo.wait(timeout=240)
        finally:
            if demo.poll() is None:
                demo.send_signal(signal.SIGTERM)
                demo.wait(timeout=30)
    printed = output.read_text()
    summary = json.loads(printed.strip().splitlines()[-1])
    assert demo.returncode == 0, printed[-4000:]
    assert (summary["triggered"], summary["final"]) == (PARTS, PARTS)
    assert (summary["lost"], summary["doubled"], summary["unsafe_pass"]) == (0, 0, 0)
    for victim, _pid in killed:
        assert f"{victim} " in printed, f"nobody was told that {victim} died"
    assert not [name for name in ("web", "gateway", "inspect-worker") if pid_of(data, name)]
    the_plc_log_agrees(data)


def the_plc_log_agrees(data: Path) -> None:
    """The PLC's own log is the judge, read here without any of our code: each sequence number applied once, each
    part given what we decided and nothing else."""
    entries = [json.loads(line) for line in (data / "plc-log.jsonl").read_text().splitlines() if line.strip()]
    applied = [entry for entry in entries if entry["event"] == "disposition" and entry["code"] == 1]
    assert len(applied) > PARTS / 2
    numbers = [(entry["mailbox"], entry["seq"]) for entry in applied]
    assert len(numbers) == len(set(numbers))
    with contextlib.closing(sqlite3.connect(data / "secondlook.sqlite3")) as database:
        ours = dict(
            database.execute(
                "SELECT p.plc_part_id, d.outcome FROM inspection_disposition d "
                "JOIN inspection_part p ON p.id = d.part_id WHERE d.is_final"
            )
        )
    finals = {entry["part_id"]: entry["result"] for entry in applied if entry["final"]}
    assert len(finals) == len([entry for entry in applied if entry["final"]])
    assert {part: {1: "PASS", 2: "REJECT"}[result] for part, result in finals.items()} == {
        part: outcome for part, outcome in ours.items() if part in finals
    }


def test_nothing_survives_when_the_demo_itself_is_killed(images, tmp_path):
    data, output = tmp_path / "data", tmp_path / "output.txt"
    environment = {
        name: value for name, value in os.environ.items() if name not in {"REDIS_URL", "DATABASE_URL"}
    }
    command = [
        *(sys.executable, "-m", "config.demo", "--images", str(images), "--data-dir", str(data)),
        *("--rate", "2", "--port", "0", "--no-browser"),
    ]
    with output.open("w") as file:
        demo = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            wait_for("the line", lambda: "The line runs" in output.read_text(), seconds=180, demo=demo)
            pids = {path.stem: int(path.read_text()) for path in (data / "run").glob("*.pid")}
        finally:
            demo.kill()
            demo.wait()
    assert {"web", "inspect-worker", "gateway", "simulator", "sweeper"} <= set(pids)
    give_up_at = time.monotonic() + 5
    while [name for name, pid in pids.items() if alive(pid)] and time.monotonic() < give_up_at:
        time.sleep(0.1)
    assert [name for name, pid in pids.items() if alive(pid)] == []


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
