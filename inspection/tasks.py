"""The inspect worker: `celery -A config worker -Q inspect -P solo`."""

import logging
from functools import cache
from typing import Any

from celery import shared_task
from celery.signals import celeryd_after_setup
from django.db import OperationalError, close_old_connections, connection

from audit.actor import Actor
from audit.transitions import IllegalMove, StaleState
from inspection import actions, queries
from inspection.pulse import Pulse
from inspection.worker import Eye

ACTOR = Actor.system("inspect worker")
PULSE = Pulse()
_log = logging.getLogger(__name__)


@cache
def eye() -> Eye:
    return Eye()


@celeryd_after_setup.connect
def warm_up(instance: Any, **_: Any) -> None:
    """Load the models before the first part; a worker of another queue loads none."""
    if "inspect" in instance.app.amqp.queues:
        eye().warm_up()
        PULSE.start()


@shared_task(name="inspection.tasks.inspect")
def inspect(part_id: int) -> None:
    """Look at one part and decide. A repeated ring for a decided part does nothing."""
    try:
        part = queries.part_awaiting_inspection(part_id)
        if part is None or not actions.begin_inspection(part=part, actor=ACTOR):
            return
        with PULSE:
            look = eye().look(part)
        actions.decide(part=part, look=look, actor=ACTOR)
    except (StaleState, IllegalMove) as late:
        _log.info("part %s was decided elsewhere: %s", part_id, late)
    except OperationalError:
        # Connections are kept over tasks; a dead one is dropped here and the sweeper rings again.
        _log.exception("part %s waits for the sweeper: the database did not answer", part_id)
        connection.close()
        close_old_connections()
    except Exception:
        # The part stays captured: the sweeper rings again, and after three attempts it is held.
        _log.exception("part %s: the inspection did not end", part_id)
