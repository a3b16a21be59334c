"""The train worker: `celery -A config worker -Q train -P solo`."""

import logging

from celery import shared_task
from django.db import OperationalError, close_old_connections, connection

from audit.actor import Actor
from training import actions, queries

ACTOR = Actor.system("train worker")
_log = logging.getLogger(__name__)


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
