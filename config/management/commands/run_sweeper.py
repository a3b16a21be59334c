"""Re-rings waiting rows, ends leases, carries out verdicts, enforces deadlines, seals the audit trail."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection
from django.utils import timezone

import audit.actions
import inspection.actions
import labeling.actions
import review.actions
import training.actions
from audit.actor import Actor

ACTOR = Actor.system("sweeper")
TURN_S = 0.25
_log = logging.getLogger(__name__)

SWEEPS: tuple[tuple[str, Callable[[], Any]], ...] = (
    ("review", lambda: review.actions.sweep(now=timezone.now(), actor=ACTOR)),
    ("inspection", lambda: inspection.actions.sweep(now=timezone.now(), actor=ACTOR)),
    ("labeling", lambda: labeling.actions.grade_closed_cases(actor=ACTOR)),
    ("training", lambda: training.actions.sweep(now=timezone.now(), actor=ACTOR)),
    ("audit", audit.actions.seal_events),
)


class Command(BaseCommand):
    help = "Sweep for ever: nothing may wait unseen. Any number may run, one is enough."

    def handle(self, **options: Any) -> None:
        stop = threading.Event()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: stop.set())
        self.stdout.write("Sweeper is running.")
        while not stop.is_set():
            started = time.monotonic()
            for name, sweep in SWEEPS:
                _turn(name, sweep)
            stop.wait(max(0.02, TURN_S - (time.monotonic() - started)))


def _turn(name: str, sweep: Callable[[], Any]) -> None:
    """One sweep; a failure of one never keeps the others from their turn."""
    try:
        sweep()
    except DatabaseError as problem:
        _log.warning("%s sweep: the database did not answer, next turn: %s", name, problem)
        connection.close()
    except Exception:
        _log.exception("%s sweep did not end", name)
