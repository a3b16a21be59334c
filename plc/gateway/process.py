"""Waits for the lease, runs shifts, hands over."""

import logging
import os
import socket
import threading

from django.db import DatabaseError, InterfaceError, connection

from audit.bell import Bell
from inspection.doorbell import DISPOSITIONS_WAIT
from plc import actions
from plc.gateway.shift import Shift
from plc.models import PlcLink
from plc.queries import link_by_code

TRY_AGAIN_S = 0.5

_log = logging.getLogger(__name__)


class Gateway:
    """`manage.py run_gateway PLC1`: serves one PLC whenever no other gateway does."""

    def __init__(self, code: str, *, owner: str = "") -> None:
        self.code = code
        self.owner = owner or f"{socket.gethostname()}:{os.getpid()}"
        self._said = ""

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set. Raises PlcLink.DoesNotExist if there is no such link."""
        while not stop.is_set():
            try:
                self._serve(stop)
            except actions.LeaseLostError as lost:
                self._say(f"{self.code}: {lost}")
            except (DatabaseError, InterfaceError) as problem:
                self._say(f"{self.code}: the database did not answer: {problem}")
                connection.close()
                stop.wait(TRY_AGAIN_S)

    def _serve(self, stop: threading.Event) -> None:
        _wait_briefly_for_locks()
        link = link_by_code(self.code)
        if link is None:
            raise PlcLink.DoesNotExist(f"There is no PLC link {self.code}. Set one up on the stations page.")
        lease = actions.take_lease(link=link, owner=self.owner)
        if lease is None:
            self._say(f"{self.code} is served by {link.lease_owner}; waiting for its lease to end.")
            stop.wait(TRY_AGAIN_S)
            return
        self._say(f"{self.code} is served by {self.owner}, fencing number {lease.fencing_number}.")
        try:
            self._run_shift(Shift(link, lease), stop)
        finally:
            actions.release_lease(lease=lease)
        self._say(f"{self.code} was handed over by {self.owner}.")

    def _run_shift(self, shift: Shift, stop: threading.Event) -> None:
        bell = Bell(DISPOSITIONS_WAIT)
        try:
            while not stop.is_set():
                shift.turn()
                if bell.wait(shift.wait_s()):
                    shift.look_now()
        finally:
            bell.close()
            shift.close()

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            _log.info("%s", sentence)
            self._said = sentence


def _wait_briefly_for_locks() -> None:
    """On SQLite a writer waits up to 5 s for others; the heartbeat cannot, it retries instead."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 500")
