"""Twenty inspectors at once against a real web process, with cut lines, repeats, undo, returns and leases that run out.

About a quarter of a minute in the suite; MANY_INSPECTORS_SECONDS lets it go on for longer.
"""

import contextlib
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import Person
from audit.models import Event
from inspection.models import Disposition, Line, Part
from inspection.states import Outcome
from review import actions
from review.models import Case, Verdict
from review.states import CaseKind, CaseState, ClosedBy
from tests.environment import DATA_DIR
from tests.factories import TESTER, decided_part, golden, held_part, inspector, station

ROOT = Path(__file__).resolve().parents[2]
SECONDS = float(os.environ.get("MANY_INSPECTORS_SECONDS", "15"))
PEOPLE = 20
WAITING_AT_LEAST = 30
LEASE_MS, WINDOW_MS, DEADLINE_MS = 4_000, 3_000, 90_000

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(SECONDS + 240),
    pytest.mark.django_db(transaction=True),
]


# --- the web process --------------------------------------------------------------------------------------
@pytest.fixture
def port(transactional_db, settings):
    """A real server process on the tests' database and Valkey."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    log = Path(DATA_DIR) / "many-inspectors.log"
    environment = {**os.environ, "DATABASE_URL": database_url()}
    serve = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(number)]
    with log.open("wb") as file:
        web = subprocess.Popen(serve, cwd=ROOT, env=environment, stdout=file, stderr=file)
    try:
        wait_until_it_answers(web, number, log)
        yield number
    finally:
        web.terminate()
        web.wait(timeout=30)
    assert "Traceback" not in log.read_text(), log.read_text()[-4000:]


def database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    host = f"{database['HOST'] or '127.0.0.1'}:{database['PORT'] or 5432}"
    return f"postgresql://{database['USER']}:{database['PASSWORD']}@{host}/{database['NAME']}"


def wait_until_it_answers(web: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    for _ in range(600):
        assert web.poll() is None, log.read_text()[-4000:]
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as wire:
            wire.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            if b" 200 " in wire.recv(64):
                return
        time.sleep(0.1)
    raise AssertionError("the web process did not answer within a minute")


# --- a person at the API ----------------------------------------------------------------------------------
class Cut(Exception):  # noqa: N818 - the line was cut: nobody knows whether the request arrived
    """The connection ended before the answer."""


class Wire:
    """One person's connection, which can be cut in the middle of anything."""

    def __init__(self, port: int, who: Person, dice: random.Random) -> None:
        client = Client()
        client.force_login(who)
        self._port, self._dice = port, dice
        self._session = client.cookies[django_settings.SESSION_COOKIE_NAME].value
        self._csrf = secrets.token_hex(16)
        self._socket: socket.socket | None = None

    def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, key: str = "", cut: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Status and body. cut: `sending` half a request, or `reading` no answer to a whole one."""
        data = json.dumps(body or {})
        head = (
            f"{method} /api/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Cookie: sessionid={self._session}; csrftoken={self._csrf}\r\nX-CSRFToken: {self._csrf}\r\n"
            f"Content-Type: application/json\r\n{f'Idempotency-Key: {key}' + chr(13) + chr(10) if key else ''}"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        request = (head + data).encode()
        try:
            wire = self._open()
            wire.sendall(request[: self._dice.randrange(1, len(request))] if cut == "sending" else request)
            if not cut:
                return self._answer(wire)
            time.sleep(self._dice.uniform(0, 0.05))
        except (OSError, Cut) as broken:
            self.close()
            raise Cut from broken
        self.close()
        raise Cut

    def _open(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        return self._socket

    def _answer(self, wire: socket.socket) -> tuple[int, dict[str, Any]]:
        got = b""
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += self._more(wire)
        head, got = got[:end].lower(), got[end + 4 :]
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        while len(got) < length:
            got += self._more(wire)
        return int(head[9:12]), json.loads(got) if got else {}

    def _more(self, wire: socket.socket) -> bytes:
        data = wire.recv(65536)
        if not data:
            raise Cut
        return data

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@dataclass
class Told:
    """What the server has answered to one person."""

    given: dict[str, int] = field(
        default_factory=dict
    )  # idempotency key -> case, of every verdict answered by 200
    words: dict[str, str] = field(default_factory=dict)
    undone: set[int] = field(
        default_factory=set
    )  # cases of which an undo was answered by 200, or may have been
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


class Inspector(threading.Thread):
    """Leases and decides, and now and then does what goes wrong on a floor."""

    def __init__(self, port: int, who: Person, ends_at: float, seed: int) -> None:
        super().__init__()
        self._dice = random.Random(seed)
        self.who, self._ends_at = who, ends_at
        self._wire = Wire(port, who, self._dice)
        self.told = Told()

    def run(self) -> None:
        try:
            while time.monotonic() < self._ends_at:
                with contextlib.suppress(Cut):
                    self._work()
        except Exception as problem:
            self.told.broken.append(repr(problem))
        finally:
            self._wire.close()
            connection.close()

    def _work(self) -> None:
        status, case = self._ask("lease", "POST", "cases/lease/", cuts=0.05)
        if status != 200:
            self._expect(status, {204})
            time.sleep(0.05)
            return
        where, lease = f"cases/{case['case']}", case["lease"]["token"]
        what = self._dice.random()
        if what < 0.08:
            status, _ = self._ask("return", "DELETE", f"{where}/lease/", {"token": lease})
            self._expect(status, {204, 409})
        elif what < 0.14:
            self.told.counts["let a lease run out"] += 1
            time.sleep(LEASE_MS / 1000 * self._dice.uniform(0.8, 1.4))
            self._decide(where, case["case"], lease)
        elif what < 0.20:
            status, _ = self._ask("renew", "POST", f"{where}/lease/", {"token": lease})
            self._expect(status, {200, 409})
            self._decide(where, case["case"], lease)
        else:
            self._decide(where, case["case"], lease)

    def _decide(self, where: str, case: int, lease: str) -> None:
        word = self._dice.choice(["PASS", "PASS", "REJECT", "CANNOT_TELL"])
        key = secrets.token_hex(8)
        body = {"lease": lease, "verdict": word, "seen_ms": 5}
        status = self._say_until_heard(f"{where}/verdict/", body, key)
        self._expect(status, {200, 409})
        if status == 200:
            self.told.given[key] = case
            self.told.words[key] = word
            if self._dice.random() < 0.15:
                self._undo(where, case)

    def _say_until_heard(self, path: str, body: dict[str, Any], key: str) -> int:
        """The same key again after each cut; sometimes again although it was answered."""
        for attempt in range(20):
            try:
                status, _ = self._ask("verdict", "POST", path, body, key=key, cuts=0.15 if attempt < 3 else 0)
            except Cut:
                self.told.counts["repeat after a cut"] += 1
                continue
            if self._dice.random() < 0.1:
                with contextlib.suppress(Cut):
                    again, _ = self._ask("verdict again", "POST", path, body, key=key)
                    if status == 200:
                        self._expect(again, {200})
            return status
        raise AssertionError("20 repeats were not heard")

    def _undo(self, where: str, case: int) -> None:
        try:
            status, answer = self._ask("undo", "DELETE", f"{where}/verdict/", cuts=0.1)
        except Cut:
            self.told.undone.add(case)  # it may have been heard
            raise
        self._expect(status, {200, 409})
        if status == 200:
            self.told.undone.add(case)
            self._decide(where, case, answer["lease"]["token"])

    def _ask(
        self, name: str, method: str, path: str, body: Any = None, *, key: str = "", cuts: float = 0.0
    ) -> tuple[int, dict[str, Any]]:
        cut = ""
        if self._dice.random() < cuts:
            cut = self._dice.choice(["sending", "reading"])
            self.told.counts[f"cut while {cut}"] += 1
        status, answer = self._wire.ask(method, path, body, key=key, cut=cut)
        self.told.counts[f"{name} {status}"] += 1
        return status, answer

    def _expect(self, status: int, fine: set[int]) -> None:
        if status not in fine:
            self.told.broken.append(f"{status} where {fine} was to be expected")


class Floor(threading.Thread):
    """Parts that keep coming, and the sweeper."""

    def __init__(self, at: Any, stop: threading.Event) -> None:
        super().__init__()
        self._at, self._stop_asked = at, stop
        self.broken: list[str] = []

    def run(self) -> None:
        try:
            while not self._stop_asked.wait(0.1):
                if Case.objects.filter(state=CaseState.WAITING).count() < WAITING_AT_LEAST:
                    for _ in range(5):
                        held_part(self._at)
                actions.sweep(now=timezone.now(), actor=TESTER)
        except Exception as problem:
            self.broken.append(repr(problem))
        finally:
            connection.close()


# --- the tests --------------------------------------------------------------------------------------------
def a_line(**fields: Any) -> Any:
    at = station(**fields)
    golden(at)
    decided_part(at, 0.1)
    return at


def test_nothing_is_lost_or_doubled_by_twenty_inspectors_on_bad_lines(port, capsys):
    at = a_line(commit_window_ms=WINDOW_MS, review_deadline_ms=DEADLINE_MS)
    Line.objects.update(
        lease_ms=LEASE_MS
    )  # shorter than anybody may set it, so that leases run out all the time
    at.line.refresh_from_db()
    for _ in range(WAITING_AT_LEAST):
        held_part(at)
    stop = threading.Event()
    floor = Floor(at, stop)
    floor.start()
    ends_at = time.monotonic() + SECONDS
    people = [Inspector(port, inspector(), ends_at, seed) for seed in range(PEOPLE)]
    for each in people:
        each.start()
    for each in people:
        each.join()
    stop.set()
    floor.join()
    finish()

    assert floor.broken == []
    assert [each.told.broken for each in people if each.told.broken] == []
    figures = compare(people)
    with capsys.disabled():
        print(f"\n{PEOPLE} inspectors, {SECONDS:.0f} s, {connection.vendor}: {json.dumps(figures)}")
    assert figures["verdicts answered"] > PEOPLE
    assert (figures["lost"], figures["doubled"]) == (0, 0)
    assert the_invariants(capsys)["lost"] == 0


def finish() -> None:
    """Everything that is open ends in its own time: windows, then deadlines."""
    for seconds in (0, WINDOW_MS / 1000 + 1, 10 * DEADLINE_MS / 1000):
        later = timezone.now() + timedelta(seconds=seconds)
        for _ in range(200):
            done = actions.sweep(now=later, actor=TESTER)
            if not any(done.values()):
                break


def compare(people: list[Inspector]) -> dict[str, Any]:
    """What the people were answered against what the database and the audit trail say."""
    rows = {verdict.idempotency_key: verdict for verdict in Verdict.objects.all()}
    told = {key: (each, case) for each in people for key, case in each.told.given.items()}
    words = {key: word for each in people for key, word in each.told.words.items()}
    lost = [key for key in told if key not in rows]
    # A verdict that nobody has taken back was carried out, once.
    standing = [key for key, (each, case) in told.items() if key in rows and case not in each.told.undone]
    lost += [key for key in standing if rows[key].undone_at or not rows[key].committed_at]
    wrong = [key for key in told if key in rows and rows[key].verdict != words[key]]
    finals = Counter(Disposition.objects.filter(is_final=True).values_list("part", flat=True))
    parts = set(Part.objects.values_list("pk", flat=True))
    doubled = [part for part, count in finals.items() if count > 1]
    lost += [str(part) for part in parts - set(finals)]
    # Each word that was carried out is what its part got; each case has left the queue once.
    closed = Case.objects.filter(kind=CaseKind.HELD, closed_by=ClosedBy.VERDICT).prefetch_related("verdicts")
    for case in closed:
        carried = [
            verdict for verdict in case.verdicts.all() if verdict.committed_at and not verdict.undone_at
        ]
        outcome = Disposition.objects.get(part=case.part_id, is_final=True).outcome
        if len(carried) != 1 or carried[0].verdict != outcome:
            doubled.append(case.part_id)
    closings = Counter(
        Event.objects.filter(subject_kind="case", after=CaseState.CLOSED).values_list("subject_id", flat=True)
    )
    doubled += [case for case, count in closings.items() if count > 1]
    counts: Counter[str] = sum((each.told.counts for each in people), Counter())
    return {
        "held parts": len(finals) - 1,
        "verdicts answered": len(told),
        "carried out": sum(1 for row in rows.values() if row.committed_at and not row.undone_at),
        "undone": sum(1 for row in rows.values() if row.undone_at),
        "leases that ended": Event.objects.filter(subject_kind="case", verb="lease_ended").count(),
        "answered another word": len(wrong),
        "lost": len(lost) + len(wrong),
        "doubled": len(doubled),
        **dict(sorted(counts.items())),
    }


def the_invariants(capsys: Any) -> dict[str, Any]:
    call_command("check_invariants")  # SystemExit if one is broken
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_of_twenty_claims_at_one_moment_one_gets_the_case(port):
    at = a_line()
    for _round in range(3):
        part = held_part(at)
        actions.open_cases(actor=TESTER)
        wires = [Wire(port, inspector(), random.Random(seed)) for seed in range(PEOPLE)]
        barrier = threading.Barrier(PEOPLE)
        answers: list[tuple[int, dict[str, Any]]] = []

        def claim(wire: Wire, barrier: threading.Barrier = barrier, answers: list[Any] = answers) -> None:
            barrier.wait()
            answers.append(wire.ask("POST", "cases/lease/"))
            wire.close()

        threads = [threading.Thread(target=claim, args=(wire,)) for wire in wires]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert Counter(status for status, _ in answers) == {200: 1, 204: PEOPLE - 1}
        won = next(body for status, body in answers if status == 200)
        assert won["part"] == part.pk
        actions.sweep(now=timezone.now() + timedelta(seconds=11 * 60), actor=TESTER)
        assert part.dispositions.filter(is_final=True, outcome=Outcome.REJECT).count() == 1
