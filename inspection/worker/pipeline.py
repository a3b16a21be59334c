"""The worker's threads: one claims, some open images, one runs the network, one decides.

    claim -> open (threads) -> see (batches) -> close
    rows     pixels, tiles     the network      decision, map

Parts that arrive while a batch runs form the next one. The rows are the queue: whatever is in these threads when the
process dies is still captured, claimed by a name that starts again, and looked at again.
"""

import logging
import queue
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from django.db import OperationalError, close_old_connections, connection

from audit.actor import Actor
from audit.bell import Bell
from audit.transitions import IllegalMove, StaleState
from inspection import actions
from inspection.doorbell import PARTS_WAIT, pixels_in
from inspection.models import Part
from inspection.worker.eye import Eye
from inspection.worker.foresight import Foresight
from inspection.worker.steps import Job, close_job, open_job, see

COMPANY_S = 0.002  # a lone part never waits longer for others
LOOK_AGAIN_S = 0.5  # for rows whose ring was lost
OPENERS = 2
FORESEE_BELOW = 1  # parts in hand; with more of them the network has no time to spare
MOST_IN_HAND = 64
WORTH_A_CLAIM = 16  # with a backlog: to ask the database for one part costs as much as for these
SWITCH_INTERVAL_S = (
    0.0005  # Python's own 5 ms would make one thread wait for another longer than the network runs
)
DATABASE_RETRY_S = 0.25
_log = logging.getLogger(__name__)


class Pipeline:
    """Runs from `start` until `stop`; `ring` wakes it and costs nothing.

    batch_size  parts that one call of the network takes; on a CPU one, where batches are no faster
    """

    def __init__(self, eye: Eye, *, name: str, actor: Actor) -> None:
        self._eye, self._name, self._actor = eye, name, actor
        self._foresight = Foresight(eye)
        self._bell = threading.Event()
        self._stop = threading.Event()
        self._in_hand: dict[int, float] = {}  # part -> since when
        self._lock = threading.Lock()
        self._opening: queue.SimpleQueue[Future[Job] | None] = queue.SimpleQueue()
        self._seen: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._openers = ThreadPoolExecutor(OPENERS, thread_name_prefix="open")
        self._keepers = ThreadPoolExecutor(1, thread_name_prefix="keep")
        self._threads: list[threading.Thread] = []

    @property
    def is_running(self) -> bool:
        return bool(self._threads) and not self._stop.is_set()

    def start(self) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        left = actions.release_claims(worker=self._name)
        if left:
            _log.warning(
                "%s parts were in the hands of this worker when it died; they are looked at again", left
            )
        for step in (self._listen, self._claim, self._see, self._close):
            thread = threading.Thread(target=self._run, args=(step,), name=step.__name__, daemon=True)
            self._threads.append(thread)
            thread.start()
        self.ring()

    def ring(self) -> None:
        """Parts wait: look at the rows now."""
        self._bell.set()

    def stop(self, *, within_s: float = 5.0) -> None:
        """Claim no more, finish what is in hand, give back what does not end in time."""
        self._stop.set()
        self._bell.set()
        ends_at = time.monotonic() + within_s
        while self._in_hand and time.monotonic() < ends_at:
            time.sleep(0.01)
        self._opening.put(None)
        self._seen.put(None)
        for thread in self._threads:
            thread.join(timeout=max(0.1, ends_at - time.monotonic()))
        self._openers.shutdown(wait=False, cancel_futures=True)
        self._keepers.shutdown(wait=True)
        self._foresight.close()
        if self._in_hand:
            actions.release_claims(worker=self._name, parts=list(self._in_hand))

    def busy_since(self) -> float | None:
        """Since when (monotonic) the oldest part is in hand; None if there is none."""
        with self._lock:
            return min(self._in_hand.values(), default=None)

    # --- the threads --------------------------------------------------------------------------------------
    def _run(self, step: Callable[[], None]) -> None:
        try:
            step()
        finally:
            connection.close()

    def _listen(self) -> None:
        bell = Bell(PARTS_WAIT)
        while not self._stop.is_set():
            for hint in bell.wait(LOOK_AGAIN_S):
                came = pixels_in(hint)
                if came is None:
                    self.ring()
                elif len(self._in_hand) <= FORESEE_BELOW:
                    self._foresight.look(*came)
        bell.close()

    def _claim(self) -> None:
        while not self._stop.is_set():
            self._bell.wait(timeout=LOOK_AGAIN_S)
            self._bell.clear()
            while not self._stop.is_set() and self._guarded(self._claim_some, False):
                pass

    def _claim_some(self) -> bool:
        """Hand what waits to the openers; True where more may wait than there was room for."""
        with self._lock:
            besides = list(self._in_hand)
        room = MOST_IN_HAND - len(besides)
        if room < WORTH_A_CLAIM:
            time.sleep(COMPANY_S)
            return True
        parts = actions.claim_waiting(worker=self._name, limit=room, besides=besides, actor=self._actor)
        now = time.monotonic()
        with self._lock:
            self._in_hand.update({part.pk: now for part in parts})
        for part in parts:
            self._opening.put(self._openers.submit(self._open, part))
        return len(parts) == room

    def _open(self, part: Part) -> Job:
        try:
            return open_job(part, self._eye, self._foresight)
        except Exception:
            # The part stays captured; after three attempts it is held.
            _log.exception("part %s: its images were not opened", part.pk)
            self._let_go(part.pk)
            raise
        finally:
            close_old_connections()

    def _see(self) -> None:
        """Take what is ready, wait at most COMPANY_S for what is being opened, run the network, pass on."""
        held_back: Job | None = None
        while True:
            first = held_back or self._opened()
            held_back = None
            if first is None:
                return
            jobs, held_back = self._company_of(first)
            try:
                see(jobs)
            except Exception:
                _log.exception("parts %s: the network did not end", [job.part.pk for job in jobs])
                for job in jobs:
                    self._let_go(job.part.pk)
                continue
            for job in jobs:
                self._seen.put(job)

    def _opened(self, *, within_s: float | None = None) -> Job | None:
        """The next opened job; None at the end, or when none came within the time."""
        until = None if within_s is None else time.monotonic() + within_s
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            try:
                future = self._opening.get(timeout=left)
            except queue.Empty:
                return None
            if future is None:
                self._opening.put(None)
                return None
            try:
                return future.result()
            except Exception:  # noqa: S112 - _open has logged it and given the part back
                continue

    def _company_of(self, first: Job) -> tuple[list[Job], Job | None]:
        """(this batch, the job that must start the next one): parts of one loaded model, up to its batch size.

        A part that was claimed before and did not end looks alone: if it crashes the worker again, nobody else pays.
        """
        jobs = [first]
        size = batch_size_of(first)
        until = time.monotonic() + COMPANY_S
        while len(jobs) < size and not self._is_suspect(first):
            other = self._opened(within_s=max(0.0, until - time.monotonic()))
            if other is None:
                break
            if other.predictor is not first.predictor or self._is_suspect(other):
                return jobs, other
            jobs.append(other)
        return jobs, None

    def _is_suspect(self, job: Job) -> bool:
        return job.part.attempts > 1

    def _close(self) -> None:
        while (job := self._seen.get()) is not None:
            is_decided = False
            try:
                close_job(job, actor=self._actor, later=self._keep_later)
                is_decided = True
            except (StaleState, IllegalMove) as late:
                _log.info("part %s was decided elsewhere: %s", job.part.pk, late)
            except OperationalError as problem:
                _log.warning(
                    "part %s is looked at again: the database did not answer: %s", job.part.pk, problem
                )
                connection.close()
            except Exception:
                _log.exception("part %s: the inspection did not end", job.part.pk)
            finally:
                self._let_go(job.part.pk, is_decided=is_decided)

    def _keep_later(self, work: Callable[[], None]) -> None:
        self._keepers.submit(self._keep, work)

    def _keep(self, work: Callable[[], None]) -> None:
        """The part is decided; a map that cannot be kept is said and missed, no more."""
        try:
            work()
        except Exception:
            _log.exception("a defect map was not kept")
        finally:
            close_old_connections()

    def _let_go(self, part_id: int, *, is_decided: bool = False) -> None:
        """Out of our hands; if the part was not decided it is free to be claimed again, by anybody."""
        if not is_decided:
            self._guarded(lambda: actions.release_claims(worker=self._name, parts=[part_id]), 0)
        with self._lock:
            self._in_hand.pop(part_id, None)

    def _guarded(self, work: Callable[[], Any], otherwise: Any) -> Any:
        """A database that does not answer stops no thread: the rows are still there when it is back."""
        try:
            return work()
        except OperationalError as problem:
            _log.warning("the database did not answer: %s", problem)
            connection.close()
            self._stop.wait(DATABASE_RETRY_S)
        except Exception:
            _log.exception("the worker goes on")
            self._stop.wait(DATABASE_RETRY_S)
        return otherwise


def batch_size_of(job: Job) -> int:
    """What the engine takes in one call."""
    return int(getattr(getattr(job.predictor, "engine", None), "batch", 1))
