"""The inspect worker: `celery -A config worker -Q inspect -P solo`."""

import logging
import socket
from functools import cache
from typing import Any

from celery import shared_task
from celery.signals import celeryd_after_setup, worker_shutdown

from audit.actor import Actor
from audit.transitions import IllegalMove, StaleState
from inspection import actions, doorbell
from inspection.pulse import Pulse
from inspection.worker.eye import Eye
from inspection.worker.pipeline import Pipeline
from inspection.worker.steps import close_job, open_job, see

ACTOR = Actor.system("inspect worker")
_log = logging.getLogger(__name__)
_pipeline: Pipeline | None = None


@celeryd_after_setup.connect
def start(instance: Any, **_: Any) -> None:
    """Load the models before the first part; a worker of another queue loads none."""
    global _pipeline  # noqa: PLW0603 - one pipeline a process is the point
    if "inspect" not in instance.app.amqp.queues.consume_from:  # all that are known would be every queue
        return
    eye = Eye(actor=ACTOR, switches_in_background=True)
    eye.warm_up()
    _pipeline = Pipeline(eye, name=f"inspect@{socket.gethostname()}", actor=ACTOR)
    _pipeline.start()
    Pulse(_pipeline.busy_since).start()


@worker_shutdown.connect
def stop(**_: Any) -> None:
    if _pipeline:
        _pipeline.stop()


@shared_task(name="inspection.tasks.inspect")
def inspect(part_id: int) -> None:
    """The doorbell. In the worker it wakes the pipeline; elsewhere (a shell, a test) the part is looked at here."""
    doorbell.answered()
    if _pipeline and _pipeline.is_running:
        _pipeline.ring()
    else:
        inspect_here(part_id, eye_here())


@cache
def eye_here() -> Eye:
    """For looks outside the worker."""
    return Eye(actor=ACTOR)


def inspect_here(part_id: int, eye: Eye) -> None:
    """One part from claim to decision in this thread; does nothing for a part that no longer waits."""
    for part in actions.claim_waiting(worker="here", limit=1, only=part_id, actor=ACTOR):
        job = open_job(part, eye)
        see([job])
        try:
            close_job(job, actor=ACTOR)
        except (StaleState, IllegalMove) as late:
            _log.info("part %s was decided elsewhere: %s", part_id, late)
