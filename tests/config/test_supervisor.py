"""The supervisor with real processes: what dies comes back, and nothing outlives the one who started it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from config.demo.supervisor import LOG_BYTES, ProcessSpec, Supervisor
from config.demo.watch import CannotStart

ROOT = Path(__file__).resolve().parents[2]
SLEEPER = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable, "-I", "-S", "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
]  # fmt: skip
# A parent with a child of its own, which would outlive it if only the parent were killed.
FAMILY_CODE = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
FAMILY = [sys.executable, "-I", "-S", "-c", FAMILY_CODE]
# Stands for `script/demo`: supervises two processes, writes their pids down and sleeps.
PARENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from config.demo.supervisor import ProcessSpec, Supervisor
data = Path(sys.argv[1])
with Supervisor(data_dir=data, processes=[
    ProcessSpec(name="sleeper", argv={sleeper!r}),
    ProcessSpec(name="family", argv={family!r}, ready=lambda: (data / "logs" / "family.log").read_text().strip() != ""),
]) as supervisor:
    print("started", flush=True)
    supervisor.wait()
"""


class Terminal(list[str]):
    """What the person at the terminal reads."""

    def say(self, line: str) -> None:
        self.append(line)


def soon(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    give_up_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.01)
    return True


def lives(pid: int) -> bool:
    """A zombie that only waits to be reaped is dead."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def grandchild(data_dir: Path) -> int:
    return int((data_dir / "logs" / "family.log").read_text().split()[-1])


def test_processes_start_in_order_each_after_the_one_before_is_ready(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    slow = ["/bin/sh", "-c", f"sleep 0.3; touch {first}; exec sleep 60"]
    after = ["/bin/sh", "-c", f"test -e {first} && touch {second}; exec sleep 60"]
    with Supervisor(
        data_dir=tmp_path,
        processes=[
            ProcessSpec(name="first", argv=slow, ready=first.exists),
            ProcessSpec(name="second", argv=after, ready=second.exists, ready_within_s=5),
        ],
        say=Terminal().say,
    ) as supervisor:
        assert list(supervisor.pids()) == ["first", "second"]


def test_a_killed_process_is_restarted_and_the_terminal_says_so(tmp_path: Path) -> None:
    terminal = Terminal()
    with Supervisor(
        data_dir=tmp_path, processes=[ProcessSpec(name="web", argv=SLEEPER)], say=terminal.say
    ) as supervisor:
        before = supervisor.pids()["web"]
        os.kill(before, signal.SIGKILL)
        assert soon(lambda: supervisor.pids().get("web", before) != before)
        assert terminal == ["web died (killed by SIGKILL); restart 1 in 0.2 s."]
        assert supervisor.restarts() == {"web": 1}


def test_a_killed_process_takes_its_children_with_it_before_it_is_restarted(tmp_path: Path) -> None:
    with Supervisor(
        data_dir=tmp_path, processes=[ProcessSpec(name="family", argv=FAMILY)], say=Terminal().say
    ) as supervisor:
        assert soon(lambda: bool((tmp_path / "logs" / "family.log").read_text().strip()))
        child = grandchild(tmp_path)
        os.kill(supervisor.pids()["family"], signal.SIGKILL)
        assert soon(lambda: not lives(child), 2)


def test_a_process_that_keeps_dying_is_said_loudly_and_still_retried(tmp_path: Path) -> None:
    terminal = Terminal()
    with Supervisor(
        data_dir=tmp_path,
        processes=[ProcessSpec(name="gateway", argv=["/bin/sh", "-c", "echo no PLC answers; exit 3"])],
        say=terminal.say,
    ) as supervisor:
        assert soon(lambda: supervisor.restarts()["gateway"] >= 4)
    assert terminal[0] == "gateway died (exit code 3); restart 1 in 0.2 s."
    assert terminal[2].startswith(
        "!!! gateway keeps dying: 3 times in a row (exit code 3); restart 3 in 0.8 s."
    )
    assert "no PLC answers" in terminal[2]


def test_a_process_whose_work_is_done_is_not_restarted(tmp_path: Path) -> None:
    terminal = Terminal()
    station = ProcessSpec(name="station", argv=["/bin/sh", "-c", "sleep 0.2; exit 0"], ends_by_itself=True)
    with Supervisor(data_dir=tmp_path, processes=[station], say=terminal.say) as supervisor:
        assert soon(lambda: supervisor.pids() == {})
        assert soon(lambda: terminal == ["station ended (exit code 0)."])
        assert supervisor.restarts() == {"station": 0}


def test_a_process_that_ends_by_itself_is_restarted_when_it_fails(tmp_path: Path) -> None:
    station = ProcessSpec(name="station", argv=SLEEPER, ends_by_itself=True)
    with Supervisor(data_dir=tmp_path, processes=[station], say=Terminal().say) as supervisor:
        os.kill(supervisor.pids()["station"], signal.SIGKILL)
        assert soon(lambda: supervisor.restarts() == {"station": 1} and "station" in supervisor.pids())


def test_processes_stop_in_the_reverse_order(tmp_path: Path) -> None:
    order = tmp_path / "order"
    specs = [
        ProcessSpec(
            name=name,
            argv=["/bin/sh", "-c", f"trap 'echo {name} >> {order}; exit 0' TERM; touch {tmp_path / name}; while :; do sleep 0.05; done"],
            ready=(tmp_path / name).exists,
        )
        for name in ("valkey", "web", "station")
    ]  # fmt: skip
    with Supervisor(data_dir=tmp_path, processes=specs, say=Terminal().say):
        pass
    assert order.read_text().split() == ["station", "web", "valkey"]


def test_a_process_deaf_to_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    terminal = Terminal()
    deaf = ProcessSpec(
        name="deaf",
        argv=STUBBORN,
        grace_s=0.3,
        ready=lambda: "deaf" in (tmp_path / "logs" / "deaf.log").read_text(),
    )
    with Supervisor(data_dir=tmp_path, processes=[deaf], say=terminal.say) as supervisor:
        pid = supervisor.pids()["deaf"]
    assert not lives(pid)
    assert terminal == ["deaf did not stop within 0.3 s and is killed."]


def test_stopping_leaves_no_child_of_a_child(tmp_path: Path) -> None:
    with Supervisor(
        data_dir=tmp_path, processes=[ProcessSpec(name="family", argv=FAMILY)], say=Terminal().say
    ):
        assert soon(lambda: bool((tmp_path / "logs" / "family.log").read_text().strip()))
        child = grandchild(tmp_path)
    assert soon(lambda: not lives(child), 2)


def test_pid_files_name_the_living_and_are_gone_at_the_end(tmp_path: Path) -> None:
    pid_file = tmp_path / "run" / "web.pid"
    with Supervisor(
        data_dir=tmp_path, processes=[ProcessSpec(name="web", argv=SLEEPER)], say=Terminal().say
    ) as supervisor:
        assert soon(pid_file.exists)
        assert int(pid_file.read_text()) == supervisor.pids()["web"]
    assert list((tmp_path / "run").iterdir()) == [tmp_path / "run" / "lock"]


def test_a_process_that_cannot_start_stops_the_others_and_says_why(tmp_path: Path) -> None:
    supervisor = Supervisor(
        data_dir=tmp_path,
        processes=[
            ProcessSpec(name="valkey", argv=SLEEPER),
            ProcessSpec(
                name="web", argv=["/bin/sh", "-c", "echo port 8000 is taken; exit 1"], ready=lambda: False
            ),
        ],
        say=Terminal().say,
    )
    with pytest.raises(CannotStart, match=r"web did not start .* port 8000 is taken"):
        supervisor.start()
    assert supervisor.pids() == {}


def test_a_command_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    spec = ProcessSpec(name="web", argv=["/nowhere/uvicorn"], ready=lambda: False)
    with pytest.raises(CannotStart, match="/nowhere/uvicorn cannot be started: No such file"):
        Supervisor(data_dir=tmp_path, processes=[spec], say=Terminal().say).start()


def test_a_process_that_never_gets_ready_is_given_up_in_time(tmp_path: Path) -> None:
    spec = ProcessSpec(name="web", argv=SLEEPER, ready=lambda: False, ready_within_s=0.3)
    with pytest.raises(CannotStart, match=r"web was not ready within 0\.3 s"):
        Supervisor(data_dir=tmp_path, processes=[spec], say=Terminal().say).start()


def test_a_log_that_grew_too_long_is_set_aside_at_the_next_start(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "web.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * LOG_BYTES)
    spec = ProcessSpec(name="web", argv=["/bin/sh", "-c", "echo new; exec sleep 60"])
    with Supervisor(data_dir=tmp_path, processes=[spec], say=Terminal().say):
        assert soon(lambda: log.read_text() == "new\n")
    assert log.with_name("web.log.1").stat().st_size == LOG_BYTES


def test_a_stop_during_the_back_off_does_not_wait_for_it(tmp_path: Path) -> None:
    spec = ProcessSpec(name="web", argv=["/bin/false"])
    with Supervisor(data_dir=tmp_path, processes=[spec], say=Terminal().say) as supervisor:
        assert soon(lambda: supervisor.restarts()["web"] >= 4)
        asked_at = time.monotonic()
    assert time.monotonic() - asked_at < 1.0


@pytest.fixture
def parent(tmp_path: Path):
    """A supervisor in a process of its own, as script/demo is."""
    code = PARENT.format(root=str(ROOT), sleeper=SLEEPER, family=FAMILY)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "started\n", line + process.stdout.read()
    with process:
        yield process
        if process.poll() is None:
            process.kill()


def everyone(data_dir: Path) -> list[int]:
    assert soon(lambda: len(list((data_dir / "run").glob("*.pid"))) == 2)
    pids = [int(file.read_text()) for file in (data_dir / "run").glob("*.pid")]
    return [*pids, grandchild(data_dir)]


def test_nothing_outlives_a_killed_supervisor(parent: subprocess.Popen[str], tmp_path: Path) -> None:
    pids = everyone(tmp_path)
    assert [pid for pid in pids if not lives(pid)] == []
    parent.kill()
    assert soon(lambda: not any(lives(pid) for pid in pids), 2)


def test_without_the_kernel_s_help_the_watch_alone_ends_them(
    parent: subprocess.Popen[str], tmp_path: Path
) -> None:
    """The grandchild is the witness: the kernel was never asked to end it with the supervisor."""
    child = grandchild(tmp_path)
    parent.kill()
    assert soon(lambda: not lives(child), 2)


def test_nothing_outlives_a_supervisor_whose_watch_was_killed_before(
    parent: subprocess.Popen[str], tmp_path: Path
) -> None:
    pids = everyone(tmp_path)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    watch = next(int(pid) for pid in children if b"\0watch\0" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(watch, signal.SIGKILL)
    assert soon(lambda: not lives(watch))
    time.sleep(0.3)  # the keeper of the watch needs a moment
    parent.kill()
    assert soon(lambda: not any(lives(pid) for pid in pids), 2)


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_way_to_ask_ends_everything(
    parent: subprocess.Popen[str], tmp_path: Path, asked: signal.Signals
) -> None:
    pids = everyone(tmp_path)
    parent.send_signal(asked)
    parent.wait(10)
    assert not any(lives(pid) for pid in pids)
    assert list((tmp_path / "run").glob("*.pid")) == []


def test_a_second_supervisor_on_the_same_folder_is_refused(
    parent: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(CannotStart, match=rf"in use by another start of Second Look \(pid {parent.pid}\)"):
        Supervisor(data_dir=tmp_path, say=Terminal().say).start()
    assert len(everyone(tmp_path)) == 3


def test_a_new_supervisor_takes_over_right_after_the_old_one_was_killed(
    parent: subprocess.Popen[str], tmp_path: Path
) -> None:
    pids = everyone(tmp_path)
    parent.kill()
    parent.wait()
    with Supervisor(
        data_dir=tmp_path, processes=[ProcessSpec(name="sleeper", argv=SLEEPER)], say=Terminal().say
    ) as supervisor:
        assert not any(lives(pid) for pid in pids)
        assert list(supervisor.pids()) == ["sleeper"]
