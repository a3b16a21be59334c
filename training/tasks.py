"""The train worker: `celery -A config worker -Q train -P solo`."""

import logging
import os
from typing import Any

from celery import shared_task
from celery.signals import celeryd_after_setup
from django.db import OperationalError, close_old_connections, connection

from audit.actor import Actor
from training import actions, queries

ACTOR = Actor.system("train worker")
_log = logging.getLogger(__name__)


@celeryd_after_setup.connect
def stand_back(instance: Any, **_: Any) -> None:
    """Leave half of the processor to inspection: threads that spin against each other slow both down sevenfold."""
    queues = instance.app.amqp.queues.consume_from  # all that are known would be every queue
    if "train" in queues and "inspect" not in queues:
        # Imported here: the inspect worker and the web server read this module too and need no torch for it.
        import torch

        torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))


# Acknowledged at once: a training lasts longer than the broker's visibility time-out, which would deliver it
# again meanwhile. If this worker dies, the sweeper sees the heartbeat stop and puts the run back in the queue.
@shared_task(name="training.tasks.train", queue="train", acks_late=False)
def train(run_id: int) -> None:
    """Fit one candidate. A repeated ring for a run that is taken does nothing."""
    try:
        run = queries.queued_run(run_id)
        if run is not None:
            actions.run_training(run=run, actor=ACTOR)
    except OperationalError:
        _log.exception("run %s waits for the sweeper: the database did not answer", run_id)
        connection.close()
        close_old_connections()
