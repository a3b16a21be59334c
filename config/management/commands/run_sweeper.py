"""Re-rings waiting rows, ends leases, carries out verdicts, enforces deadlines, seals the audit trail.

Beside the sweeps a thread of low priority gives parts their points in the space of appearances.
"""

import contextlib
import logging
import os
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
from review.appearances import embed_waiting

ACTOR = Actor.system("sweeper")
TURN_S = 0.25
EMBED_AT_ONCE, EMBED_IDLE_S, EMBED_AFTER_TROUBLE_S = 5, 0.5, 30.0  # few: a new case never waits for a backlog
EMBED_OTHERS_EVERY_S = 15.0  # parts that no case on its way is about
NICENESS = 10
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
        embedding = threading.Thread(target=embed, args=(stop,), name="embed", daemon=True)
        embedding.start()
        self.stdout.write("Sweeper is running.")
        while not stop.is_set():
            started = time.monotonic()
            for name, sweep in SWEEPS:
                _turn(name, sweep)
            stop.wait(max(0.02, TURN_S - (time.monotonic() - started)))
        embedding.join(timeout=EMBED_IDLE_S)


def _turn(name: str, sweep: Callable[[], Any]) -> None:
    """One sweep; a failure of one never keeps the others from their turn."""
    try:
        sweep()
    except DatabaseError as problem:
        _log.warning("%s sweep: the database did not answer, next turn: %s", name, problem)
        connection.close()
    except Exception:
        _log.exception("%s sweep did not end", name)


def embed(stop: threading.Event) -> None:
    """Embed parts as they come to wait, one picture at a time; no trouble here may disturb the sweeps."""
    with contextlib.suppress(OSError, AttributeError):  # a priority for one thread: Linux has that
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    others_at = 0.0
    while not stop.is_set():
        pause_s = EMBED_IDLE_S
        is_for_others = time.monotonic() >= others_at
        try:
            if embed_waiting(EMBED_AT_ONCE, only_urgent=not is_for_others, is_stopped=stop.is_set):
                continue
            if is_for_others:
                others_at = time.monotonic() + EMBED_OTHERS_EVERY_S
        except DatabaseError as problem:
            _log.warning("embedding: the database did not answer, again soon: %s", problem)
            connection.close()
        except Exception:
            _log.exception("embedding did not end, again in %.0f s", EMBED_AFTER_TROUBLE_S)
            pause_s = EMBED_AFTER_TROUBLE_S
        stop.wait(pause_s)
    connection.close()
