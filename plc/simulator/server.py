"""The Logix-like controller: EtherNet/IP in front of the program, and its table of CIP connections."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from plc.simulator.cip import WRITES, CipError, Router
from plc.simulator.controller import Controller
from plc.simulator.session import Connection, Session

WRITE_REFUSED = 0x10  # device state conflict


class Simulator(Controller):
    """A `Controller` that speaks EtherNet/IP.

    strict           see `plc.simulator.cip.Router`
    max_connections  class-3 connections it has room for
    """

    def __init__(self, *, max_connections: int = 256, **options: Any) -> None:
        super().__init__(**options)
        self.router = Router(self.tags, strict=self.strict, before=self._before_service)
        self._max_connections = max_connections
        self._connections: dict[int, Connection] = {}
        self._lock = threading.Lock()
        self._rejecting = threading.local()

    def _open_port(self) -> None:
        self._eip = self._listen(self.port)
        self.port = self._eip.getsockname()[1]

    def _serve(self) -> None:
        self._spawn(self._accept_forever, self._eip, self._clients, self._serve_eip)

    def _serve_eip(self, client: socket.socket) -> None:
        Session(self, client).serve()
        self._clients.discard(client)

    def _drop_clients(self) -> None:
        self._wake(list(self._clients))

    def _close_port(self) -> None:
        """Its listener and its clients are ours like the sensor wire's: `stop` wakes and closes them all."""

    def _restart(self, *, loses_memory: bool) -> None:
        with self.tags.lock:
            with self._lock:
                self._connections.clear()
            super()._restart(loses_memory=loses_memory)

    @property
    def connections(self) -> int:
        return len(self._connections)

    @contextlib.contextmanager
    def writes_rejected(self, *, only_after: int) -> Iterator[None]:
        """In this thread, refuse every write after the first `only_after`."""
        self._rejecting.after = only_after
        try:
            yield
        finally:
            self._rejecting.after = None

    def _before_service(self, service: int, tag: str) -> None:
        after = getattr(self._rejecting, "after", None)
        if after is None or service not in WRITES:
            return
        if after == 0:
            raise CipError(WRITE_REFUSED)
        self._rejecting.after = after - 1

    # CIP connections

    def connection(self, originator_id: int) -> Connection | None:
        with self._lock:
            return self._connections.get(originator_id)

    def remember_connection(self, connection: Connection) -> None:
        with self._lock:
            self._connections[connection.originator_id] = connection

    def forget_connection(self, triad: bytes) -> bool:
        with self._lock:
            found = [key for key, connection in self._connections.items() if connection.triad == triad]
            for key in found:
                del self._connections[key]
            return bool(found)

    def has_room(self) -> bool:
        """Abandoned connections keep their place until their time-out: about 18 minutes for pycomm3's."""
        now = time.monotonic()
        with self._lock:
            for key, connection in list(self._connections.items()):
                if now - connection.used_at > connection.timeout_s:
                    del self._connections[key]
            return len(self._connections) < self._max_connections
