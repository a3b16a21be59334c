"""Decisions a second by eight inspectors at once, beside Label Studio's, and how long each call makes them wait.

The web process, the sweeper and Valkey run as the demo starts them, on a database of their own with 2,000 waiting
cases. Eight clients, each a person with a session of its own and one connection, lease a case over HTTP and give a
verdict on it, one after the other, without looking: a lease and a verdict are one decision. While they work, the
sweeper carries the verdicts out behind them as on any day. Label Studio 1.23.2 did 4.3 decisions/s so, with its
default server, SQLite, 2,000 tasks and eight clients.
"""

import argparse
import json
import os
import secrets
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

LABEL_STUDIO_PER_S = 4.3
GOAL_RATIO = 50.0
GOAL_P99_MS = 100.0
WARM_S = 2.0  # while each client and the server find their pace, nothing counts
PRECEDENTS = 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30.0, help="at most; less if no case waits any more")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="secondlook-bench-") as folder:
        os.environ["DATA_DIR"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        for name in ("REDIS_URL", "DATABASE_URL", "STORAGE_URL"):
            os.environ.pop(name, None)
        detail = measure(given, Path(folder))
    ratio = round(detail["decisions_per_s"] / LABEL_STUDIO_PER_S, 1)
    p99_ms = {name: detail[f"{name}_ms"]["p99"] for name in ("lease", "verdict")}
    detail["goals"] = {
        f"at least {GOAL_RATIO:.0f} times Label Studio's decisions/s": ratio >= GOAL_RATIO,
        f"lease p99 at most {GOAL_P99_MS:.0f} ms": p99_ms["lease"] <= GOAL_P99_MS,
        f"verdict p99 at most {GOAL_P99_MS:.0f} ms": p99_ms["verdict"] <= GOAL_P99_MS,
    }
    print(
        json.dumps(
            {
                "benchmark": "review_load",
                "figure": ratio,
                "unit": "decisions/s / Label Studio's",
                "goal": GOAL_RATIO,
                "holds": all(detail["goals"].values()),
                "detail": detail,
            }
        )
    )
    return 0


def measure(given: argparse.Namespace, data_dir: Path) -> dict[str, Any]:
    from config.demo.supervisor import Supervisor
    from config.demo.valkey import embedded_valkey

    valkey = embedded_valkey(data_dir)
    assert valkey is not None
    with Supervisor(data_dir=data_dir, processes=[valkey.process()], say=say) as supervisor:
        import django

        django.setup()
        from django.core.management import call_command

        from config.demo.conductor import web_server
        from config.demo.supervisor import ProcessSpec

        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        say(f"{given.cases} parts are held for people.")
        fill(given.cases)
        port = free_port()
        supervisor.add(web_server(port))
        supervisor.add(ProcessSpec("sweeper", [sys.executable, "manage.py", "run_sweeper"], cwd=ROOT))
        wait_for_web(port)
        clients = [Inspector(port, *session(number)) for number in range(given.clients)]
        say(f"{given.clients} clients lease and decide for at most {given.seconds:.0f} s.")
        cpu_before = cpu_s(supervisor.pids())
        timings, counted_s, wall_s, decided = work(clients, given.seconds)
        cpu_after = cpu_s(supervisor.pids())
    return {
        "decisions_per_s": round(len(timings["verdict"]) / counted_s, 1),
        "label_studio_decisions_per_s": LABEL_STUDIO_PER_S,
        "clients": given.clients,
        "waiting_cases_at_the_start": given.cases,
        "decisions": len(timings["verdict"]),
        "seconds": round(counted_s, 1),
        **{f"{name}_ms": quantiles(values) for name, values in timings.items()},
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "cpu_ms_per_decision": {
            name: round((cpu_after[name] - cpu_before[name]) * 1000 / decided, 2) for name in cpu_after
        },
        "cores_busy": round(sum(cpu_after[name] - cpu_before[name] for name in cpu_after) / wall_s, 2),
    }


# --- what is there before ---------------------------------------------------------------------------------
def fill(cases: int) -> None:
    """A line with a golden configuration, rulings that are precedents, and held parts that wait as cases."""
    import numpy as np

    from audit.actor import Actor
    from inspection import actions as floor
    from inspection.models import Part
    from inspection.states import Mode
    from review import actions

    actor = Actor.system("benchmark")
    at = floor.set_up_line(
        code="L1",
        name="Line 1",
        part_type="disc",
        station="S01",
        hold_mailbox="H01",
        mode=Mode.TWO_TIER,
        actor=actor,
        review_deadline_ms=24 * 3600_000,
    )
    golden = floor.draft_golden(
        line=at.line,
        model_name="benchmark",
        model_sha256="0" * 64,
        family="patchcore",
        grey_from=0.3,
        grey_to=0.7,
        preprocessing={},
        actor=actor,
    )
    floor.lock_golden(golden=golden, actor=actor)
    floor.activate_golden(golden=golden, actor=actor)
    dice = np.random.default_rng(1)
    for number in range(cases + PRECEDENTS):
        hold_part(at, golden, number + 1, float(dice.uniform(0.3, 0.7)), actor)
    while actions.open_cases(actor=actor):
        pass
    give_points(list(Part.objects.values_list("pk", flat=True)), dice)
    rule_some(PRECEDENTS)


def hold_part(at: Any, golden: Any, number: int, score: float, actor: Any) -> None:
    from inspection import actions as floor
    from inspection import storage
    from inspection.look import Look
    from inspection.states import Reason

    data = picture(number)
    part = floor.capture(station=at, trigger_seq=number, serial=f"{number:08d}", data=data, actor=actor).part
    map_file = storage.write_derived(f"maps/{part.pk}.png", data)
    look = Look(Reason.CLEAR, golden=golden, score=score, view="main", map_file=map_file)
    floor.decide(part=part, look=look, actor=actor)


def picture(number: int) -> bytes:
    """A small PNG; the calls that are timed fetch no picture."""
    import cv2
    import numpy as np

    pixels = np.full((32, 32), number % 200, np.uint8)
    pixels[:2, :2] = np.frombuffer(number.to_bytes(4, "big"), np.uint8).reshape(2, 2)
    return bytes(cv2.imencode(".png", pixels)[1])


def give_points(parts: list[int], dice: Any) -> None:
    """Where each part lies in the space of appearances, as the sweeper would have found out by now."""
    import numpy as np
    from django.utils import timezone

    from review.models import Appearance
    from vision.appearance import LENGTH, SPACE, to_bytes

    rows = []
    for part in parts:
        vector = dice.normal(size=LENGTH).astype(np.float32)
        vector /= np.linalg.norm(vector)
        rows.append(Appearance(part_id=part, space=SPACE, vector=to_bytes(vector), made_at=timezone.now()))
    Appearance.objects.bulk_create(rows, batch_size=500)


def rule_some(count: int) -> None:
    """The most urgent cases were ties once: their rulings are the precedents of all others."""
    from accounts.models import Role
    from audit.actor import Actor
    from review import actions, queries
    from review.states import Grade, VerdictWord

    by, expert = add_person("before", Role.MANUAL_INSPECTOR), add_person("expert", Role.QUALITY_EXPERT)
    for number in range(count):
        case = actions.lease(person=by, lines=None)
        assert case is not None
        verdict = actions.give_verdict(
            case=case,
            person=by,
            token=case.lease_token,
            verdict=VerdictWord.CANNOT_TELL,
            idempotency_key=f"{number}",
        )
        actions.commit_verdict(verdict=verdict, actor=Actor.system("benchmark"))
        tie = queries.cases().get(pk=case.pk)
        grade = (Grade.GOOD, Grade.BAD)[number % 2]
        actions.rule(case=tie, person=expert, grade=grade, note="", is_precedent=True)


def add_person(username: str, *roles: Any) -> Any:
    from accounts.actions import add_person

    return add_person(username=username, password=secrets.token_urlsafe(16), name=username, roles=list(roles))


def session(number: int) -> tuple[str, str]:
    """A person's session cookie and CSRF token."""
    from django.conf import settings
    from django.test import Client

    from accounts.models import Role

    client = Client()
    client.force_login(add_person(f"client{number}", Role.MANUAL_INSPECTOR))
    return client.cookies[settings.SESSION_COOKIE_NAME].value, secrets.token_hex(16)


# --- the clients ------------------------------------------------------------------------------------------
class Inspector:
    """One connection that asks and reads; as little work as a client can do, so that the server has the machine."""

    def __init__(self, port: int, session_key: str, csrf: str) -> None:
        self._wire = socket.create_connection(("127.0.0.1", port))
        self._wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = (
            f"Host: 127.0.0.1:{port}\r\nCookie: sessionid={session_key}; csrftoken={csrf}\r\n"
            f"X-CSRFToken: {csrf}\r\nContent-Type: application/json\r\n"
        )

    def decide(self) -> tuple[float, float] | None:
        """Seconds of the lease and of the verdict; None if nothing waits."""
        began = time.perf_counter()
        status, body = self._post("cases/lease/", "{}")
        leased_s = time.perf_counter() - began
        if status == 204:
            return None
        assert status == 200, body
        case = json.loads(body)
        said = json.dumps({"lease": case["lease"]["token"], "verdict": "PASS", "seen_ms": 1})
        began = time.perf_counter()
        status, body = self._post(
            f"cases/{case['case']}/verdict/", said, f"Idempotency-Key: {secrets.token_hex(8)}\r\n"
        )
        assert status == 200, body
        return leased_s, time.perf_counter() - began

    def _post(self, path: str, body: str, more: str = "") -> tuple[int, bytes]:
        self._wire.sendall(
            f"POST /api/v1/{path} HTTP/1.1\r\n{self._head}{more}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        got = b""
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += self._more()
        head, got = got[:end].lower(), got[end + 4 :]
        status = int(head[9:12])
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0) if status != 204 else 0
        while len(got) < length:
            got += self._more()
        return status, got

    def _more(self) -> bytes:
        data = self._wire.recv(65536)
        assert data, "the server closed the connection"
        return data


def work(clients: list[Inspector], seconds: float) -> tuple[dict[str, list[float]], float, float, int]:
    """Timings of the decisions that count, the seconds they took, the whole seconds and all decisions."""
    began = time.perf_counter()
    counts_from, ends_at = began + WARM_S, began + WARM_S + seconds
    leases: list[float] = []
    verdicts: list[float] = []
    ended: list[float] = []
    decided: list[int] = []
    failures: list[Exception] = []

    def run(client: Inspector) -> None:
        count = 0
        try:
            while (now := time.perf_counter()) < ends_at and (took := client.decide()):
                count += 1
                if now >= counts_from:
                    leases.append(took[0])
                    verdicts.append(took[1])
        except Exception as problem:
            failures.append(problem)
        ended.append(time.perf_counter())
        decided.append(count)

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    if not verdicts:
        raise SystemExit("No decision counted: let it run for longer, or with more cases.")
    last = min(ended)  # from then on not all of the clients worked
    return {"lease": leases, "verdict": verdicts}, last - counts_from, max(ended) - began, sum(decided)


# --- figures ----------------------------------------------------------------------------------------------
def quantiles(seconds: list[float]) -> dict[str, float]:
    import numpy as np

    p50, p95, p99 = np.percentile(np.array(seconds) * 1000, [50, 95, 99])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "p99": round(float(p99), 1)}


def cpu_s(pids: dict[str, int]) -> dict[str, float]:
    """Processor seconds of each process with its children so far, and of the clients here; empty off Linux."""
    used = {"clients": time.process_time()}
    for name, pid in pids.items():
        used[name] = sum(_cpu_of(each) for each in (pid, *_children(pid)))
    return used


def _cpu_of(pid: int) -> float:
    try:
        fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    try:
        text = (Path("/proc") / str(pid) / "task" / str(pid) / "children").read_text()
    except OSError:
        return []
    return [int(each) for each in text.split()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_web(port: int) -> None:
    give_up_at = time.monotonic() + 60
    while not _answers(port):
        if time.monotonic() > give_up_at:
            raise SystemExit("The web process did not answer within a minute.")
        time.sleep(0.1)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as wire:
            wire.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return b" 200 " in wire.recv(64)
    except OSError:
        return False


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
