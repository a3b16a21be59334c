"""Real Chromium against a real server process, on the tests' database file and Valkey."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.utils import timezone
from playwright.sync_api import sync_playwright

from review import actions
from tests.browser.screen import Screen
from tests.environment import DATA_DIR
from tests.factories import TESTER

ROOT = Path(__file__).resolve().parents[2]
STORAGE = Path(DATA_DIR) / "browser-storage"
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-features=MediaRouter,OptimizationHints,Translate",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@pytest.fixture(autouse=True)
def _own_storage(settings):
    """One storage for the tests and the server."""
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "inspection.storage.DurableFileStorage",
            "OPTIONS": {"location": str(STORAGE)},
        },
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


class Server:
    """A uvicorn process that serves the product with its hashed static files; it can die and come back."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = Path(DATA_DIR) / "browser-server.log"
        self._environment = {
            **os.environ,
            "DATABASE_URL": _database_url(),
            "STORAGE_URL": f"file://{STORAGE}",
        }
        self._process: subprocess.Popen[bytes] | None = None
        collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
        subprocess.run(collect, cwd=ROOT, env=self._environment, check=True)

    def start(self) -> None:
        serve = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(self.port)]
        with self.log.open("ab") as file:
            self._process = subprocess.Popen(serve, cwd=ROOT, env=self._environment, stdout=file, stderr=file)
        for _ in range(300):
            if self._process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{self.address}/health/live", timeout=1).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"The server did not come up: {self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="package")
def server(django_db_setup):
    running = Server()
    running.start()
    yield running
    running.kill()
    assert "Traceback" not in running.log.read_text(), running.log.read_text()[-4000:]


def _database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    host = f"{database['HOST'] or '127.0.0.1'}:{database['PORT'] or 5432}"
    return f"postgresql://{database['USER']}:{database['PASSWORD']}@{host}/{database['NAME']}"


@pytest.fixture(scope="package")
def chromium():
    """Not pytest-playwright's session-wide browser: its event loop must end with this folder's tests."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop runs in this thread, so Django takes our plain test code for async code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def open_screen(transactional_db, chromium, server):
    """open_screen(person, "/review/"): a screen of its own, logged in; what went wrong on it fails the test."""
    screens: list[Screen] = []

    def open_one(person=None, path="/", *, width=1280, height=800) -> Screen:
        context = chromium.new_context(base_url=server.address, viewport={"width": width, "height": height})
        context.set_default_timeout(8_000)
        if person is not None:
            client = Client()
            client.force_login(person)
            name = django_settings.SESSION_COOKIE_NAME
            context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": server.address}])
        screens.append(Screen(context, path))
        return screens[-1]

    yield open_one
    for screen in screens:
        screen.context.close()
    assert [problem for screen in screens for problem in screen.problems] == []


@pytest.fixture
def sweeper(transactional_db):
    """Opens cases, carries out verdicts, ends leases: what `manage.py run_sweeper` does all the time."""
    stop = threading.Event()
    failures: list[Exception] = []

    def run() -> None:
        while not stop.wait(0.2):
            try:
                actions.sweep(now=timezone.now(), actor=TESTER)
            except Exception as problem:
                failures.append(problem)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join()
    assert failures == []
