"""How a run tells that it lives and how far it is."""

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection
from django.utils import timezone

from audit.actor import Actor
from audit.transitions import record
from training.models import Run
from training.states import RunState
from vision.predictor import Progress

WRITE_EVERY_S = 0.5
TELL_EVERY = 0.1
BEAT_EVERY_S = 5.0
_NUMBERS = re.compile(r"\d+")
_log = logging.getLogger(__name__)


class TakenAwayError(Exception):
    """The sweeper took this run for dead and gave it to somebody else."""


class Reporter:
    """Writes progress at most twice a second, but each new step at once: it may be silent for minutes.

    It tells open pages (an audit event) only in coarse steps.
    """

    def __init__(self, run: Run, actor: Actor, also: Progress) -> None:
        self._run, self._actor, self._also = run, actor, also
        self._written_at, self._told, self._step = float("-inf"), -1.0, ""

    def __call__(self, fraction: float, doing: str) -> None:
        self._also(fraction, doing)
        now, step = time.monotonic(), _NUMBERS.sub("", doing)
        if now - self._written_at < WRITE_EVERY_S and step == self._step:
            return
        self._written_at, self._step = now, step
        kept = _running(self._run).update(
            progress=min(1.0, max(0.0, fraction)), message=doing[:200], heartbeat_at=timezone.now()
        )
        if not kept:
            raise TakenAwayError(f"{self._run} was given to another trainer.")
        if fraction - self._told >= TELL_EVERY:
            self._told = fraction
            record(
                self._run,
                "progress",
                actor=self._actor,
                details={"progress": round(fraction, 2), "message": doing},
            )

    def part(self, start: float, end: float) -> Progress:
        """A progress function for one step that goes from start to end of the whole."""
        return lambda fraction, doing: self(start + fraction * (end - start), doing)


@contextmanager
def beating(run: Run) -> Iterator[None]:
    """Keep the run's heartbeat going beside steps that report nothing for long (the coreset, a slow disk)."""
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(run, stop), name=f"heartbeat of {run}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _beat(run: Run, stop: threading.Event) -> None:
    try:
        while not stop.wait(BEAT_EVERY_S):
            try:
                _running(run).update(heartbeat_at=timezone.now())
            except DatabaseError as problem:
                _log.warning("%s: the heartbeat was not written: %s", run, problem)
                connection.close()
    finally:
        connection.close()  # this thread's own


def _running(run: Run):  # noqa: ANN202 - a QuerySet[Run]
    return Run.objects.filter(pk=run.pk, state=RunState.RUNNING, version=run.version)
