"""Simulated inspectors and a simulated expert, for runs without anybody at the screen.

They work as people do: they log in, lease a case over the REST API, look, decide, and answer ties. They know the
truth of the folder, which the product does not.
"""

import abc
import json
import random
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

UNSURE_SHARE = 0.04
LOOK_S = (0.10, 0.30)


class TruthLog:
    """What the station's folder knows of each part, as the station wrote it down at the trigger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, dict[str, str]] = {}
        self._read_to = 0
        self._lock = threading.Lock()

    def of(self, plc_part_id: str) -> dict[str, str] | None:
        with self._lock:
            if plc_part_id not in self._known:
                self._read_on()
            return self._known.get(plc_part_id)

    def _read_on(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # the station is writing it just now
                self._read_to += len(line)
                try:
                    known = json.loads(line)
                except ValueError:
                    continue  # a station that was killed in the middle of a line
                self._known[known["part"]] = known


class Session:
    """One person's login: cookies, the CSRF header, JSON in and out."""

    def __init__(self, address: str, username: str, password: str) -> None:
        self._address, self._username, self._password = address, username, password
        self._cookies = CookieJar()
        self._open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies)).open

    def log_in(self) -> None:
        self._open(f"{self._address}/login/", timeout=10).close()
        form = f"username={self._username}&password={self._password}&csrfmiddlewaretoken={self._csrf()}"
        request = urllib.request.Request(f"{self._address}/login/", data=form.encode())  # noqa: S310 - our own http
        request.add_header("Referer", f"{self._address}/login/")
        self._open(request, timeout=10).close()
        if not any(cookie.name == "sessionid" for cookie in self._cookies):
            raise PermissionError(f"{self._username} could not log in.")

    def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of one API call; OSError if the server is away."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._address}/api/v1/{path}", data=data, method=method)  # noqa: S310
        request.add_header("Content-Type", "application/json")
        request.add_header("X-CSRFToken", self._csrf())
        request.add_header("Referer", self._address)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with self._open(request, timeout=30) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else {}
        except urllib.error.HTTPError as refused:
            with refused:
                text = refused.read()
            try:
                return refused.code, json.loads(text)
            except ValueError:
                return refused.code, {"detail": text.decode(errors="replace")[:200]}

    def _csrf(self) -> str:
        return next((cookie.value or "" for cookie in self._cookies if cookie.name == "csrftoken"), "")


class SimulatedPerson(threading.Thread, abc.ABC):
    """Logs in and works until told to stop; a server that is away is waited for."""

    def __init__(self, session: Session, truth: TruthLog, stop: threading.Event, seed: int) -> None:
        super().__init__(daemon=True)
        self._session, self._truth, self._stop_asked = session, truth, stop
        self._dice = random.Random(seed)  # noqa: S311 - hesitation, not a secret
        self.verdicts = 0

    def run(self) -> None:
        is_logged_in = False
        while not self._stop_asked.is_set():
            try:
                if not is_logged_in:
                    self._session.log_in()
                    is_logged_in = True
                worked = self.work()
            except PermissionError:
                self._stop_asked.wait(1)
            except (OSError, ValueError):  # the web process is being restarted
                self._stop_asked.wait(0.5)
            else:
                if not worked:
                    self._stop_asked.wait(0.2)

    @abc.abstractmethod
    def work(self) -> bool:
        """One case; False if none waits."""

    def _grade(self, plc_part_id: str) -> str | None:
        known = self._truth.of(plc_part_id)
        return known["truth"] if known else None


class SimulatedInspector(SimulatedPerson):
    def work(self) -> bool:
        status, case = self._session.ask("POST", "cases/lease/", {})
        if status != 200:
            return False
        looked_s = self._dice.uniform(*LOOK_S)
        self._stop_asked.wait(looked_s)
        truth = self._grade(case["plc_part_id"])
        verdict = {"good": "PASS", "bad": "REJECT"}.get(truth or "", "CANNOT_TELL")
        if self._dice.random() < UNSURE_SHARE:
            verdict = "CANNOT_TELL"
        self._give(case, verdict, looked_s)
        return True

    def _give(self, case: dict[str, Any], verdict: str, looked_s: float) -> None:
        body = {"lease": case["lease"]["token"], "verdict": verdict, "seen_ms": int(looked_s * 1000)}
        key = uuid.uuid4().hex
        for _ in range(20):
            try:
                status, _answer = self._session.ask(
                    "POST", f"cases/{case['case']}/verdict/", body, Idempotency_Key=key
                )
            except OSError:  # lost on the way there or on the way back: the same key again says the same once
                time.sleep(0.5)
                continue
            if status == 200:
                self.verdicts += 1
            return


class SimulatedExpert(SimulatedPerson):
    def work(self) -> bool:
        status, ties = self._session.ask("GET", "ties/")
        if status != 200 or not ties.get("results"):
            return False
        for tie in ties["results"]:
            truth = self._grade(tie["plc_part_id"]) or "bad"  # what nobody knows is not passed
            self._session.ask(
                "POST", f"ties/{tie['case']}/ruling/", {"grade": truth, "note": "simulated expert"}
            )
            self.verdicts += 1
        return True
