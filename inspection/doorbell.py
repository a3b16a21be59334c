"""Ring the inspect worker for a part that waits. Lost rings are rung again by the sweeper."""

import logging

from celery import current_app
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from inspection.models import Part

INSPECT = "inspection.tasks.inspect"
_log = logging.getLogger(__name__)


def ring_inspection(part: Part) -> None:
    """After the commit, ask a worker to inspect the part; a broker that is away never fails the capture.

    The task goes by its name: tasks call actions, so actions must not import tasks.
    """
    Part.objects.filter(pk=part.pk).update(rung_at=timezone.now())
    transaction.on_commit(lambda: _send(part.pk))


def _send(part_id: int) -> None:
    try:
        current_app.send_task(INSPECT, args=[part_id], queue="inspect", retry=False)
    except (OperationalError, RedisError, OSError) as problem:
        _log.warning("part %s waits for the sweeper, the broker is away: %s", part_id, problem)
