"""Ring the inspect worker for parts that wait, and the gateways for dispositions. Lost rings are made good by polls.

A worker that runs listens to a bell of its own, ten times faster than a task is handed out. Where none listens the
ring stays as a task, for the one that starts. While such a task is on its way another one says nothing new: the worker
looks at all rows that wait. A key in the broker stands for it and ends by itself, so that a lost one is sent again.
"""

import logging
from functools import cache

import redis
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from audit import bell
from inspection.models import Part

INSPECT = "inspection.tasks.inspect"
PARTS_WAIT = "inspect"
DISPOSITIONS_WAIT = "dispositions"
ON_ITS_WAY = "secondlook:ring:inspect"
LOST_AFTER_MS = 1000
_log = logging.getLogger(__name__)


def ring_inspection(part: Part) -> None:
    """After the commit, ask a worker to inspect the part; a broker that is away never fails the capture.

    The task goes by its name: tasks call actions, so actions must not import tasks.
    """
    Part.objects.filter(pk=part.pk).update(rung_at=timezone.now())
    ring_after_commit(part)


def ring_after_commit(part: Part) -> None:
    """As `ring_inspection`, for a caller that has written `rung_at` with the rest of the row."""
    transaction.on_commit(lambda: _send(part.pk))


def ring_pixels(line_id: int, sha256: str) -> None:
    """A decoded picture lies in shared memory; its part is being written down and will ring by itself."""
    bell.ring(PARTS_WAIT, f"{line_id} {sha256}")


def pixels_in(hint: str) -> tuple[int, str] | None:
    """(line, sha256) if the ring was one of `ring_pixels`."""
    line_id, _, sha256 = hint.partition(" ")
    return (int(line_id), sha256) if sha256 and line_id.isdigit() else None


def ring_gateways() -> None:
    """After the commit, wake every gateway that waits for dispositions."""
    transaction.on_commit(lambda: bell.ring(DISPOSITIONS_WAIT))


def _send(part_id: int) -> None:
    if bell.ring(PARTS_WAIT):
        return
    try:
        if not _broker().set(ON_ITS_WAY, 1, nx=True, px=LOST_AFTER_MS):
            return
        current_app.send_task(INSPECT, args=[part_id], queue="inspect", retry=False)
    except (OperationalError, RedisError, OSError) as problem:
        _log.warning("part %s waits for the sweeper, the broker is away: %s", part_id, problem)


def answered() -> None:
    """The worker has heard the ring; call it before looking at the rows, so that no later part goes unheard."""
    try:
        _broker().delete(ON_ITS_WAY)
    except RedisError as problem:
        _log.debug("the ring's key ends by itself: %s", problem)


@cache
def _broker() -> redis.Redis:
    """One pool of connections a process; short waits, because a capture waits with it."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)
