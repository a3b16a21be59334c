"""Ring the train worker for a run that waits. Lost rings are rung again by the sweeper."""

import logging

from celery import current_app
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from training.models import Run

TRAIN = "training.tasks.train"
_log = logging.getLogger(__name__)


def ring_training(run: Run) -> None:
    """After the commit, ask a trainer to take the run; a broker that is away never fails the request.

    The task goes by its name: tasks call actions, so actions must not import tasks.
    """
    Run.objects.filter(pk=run.pk).update(rung_at=timezone.now())
    transaction.on_commit(lambda: _send(run.pk))


def _send(run_id: int) -> None:
    try:
        current_app.send_task(TRAIN, args=[run_id], queue="train", retry=False)
    except (OperationalError, RedisError, OSError) as problem:
        _log.warning("run %s waits for the sweeper, the broker is away: %s", run_id, problem)
