"""Which people have a page open, over all web processes: when the last one closes, whoever asked for it is told.

The broker remembers each open page until a while after its last heartbeat, so that pages of a web process that was
killed are forgotten. Without the broker nobody is told that anybody left: what they hold then ends in its own time.
"""

import logging
import time
from collections.abc import Callable
from functools import cache

import redis
from django.conf import settings
from redis.exceptions import RedisError

FORGOTTEN_AFTER_S = 15.0  # three heartbeats
Gone = Callable[..., object]
_on_gone: list[Gone] = []
_log = logging.getLogger(__name__)


def on_gone(told: Gone) -> None:
    """From now on `told(person_id=…)` is called when the last page of a person has closed."""
    if told not in _on_gone:
        _on_gone.append(told)


def is_here(person_id: int, page: str) -> None:
    """The page is open; say it again with each heartbeat."""
    try:
        broker, key = _broker(), _key(person_id)
        with broker.pipeline(transaction=False) as pipe:
            pipe.zadd(key, {page: time.time()})
            pipe.expire(key, int(FORGOTTEN_AFTER_S * 2))
            pipe.execute()
    except (RedisError, OSError) as problem:
        _log.debug("page of person %s not noted: %s", person_id, problem)


def leaves(person_id: int, page: str) -> None:
    """The page has closed; if no other page of the person is open, whoever asked is told."""
    try:
        with _broker().pipeline(transaction=True) as pipe:
            pipe.zrem(_key(person_id), page)
            pipe.zcount(_key(person_id), time.time() - FORGOTTEN_AFTER_S, "+inf")
            was_known, still_open = pipe.execute()
    except (RedisError, OSError) as problem:
        _log.debug("page of person %s not forgotten: %s", person_id, problem)
        return
    if was_known and not still_open:
        for told in _on_gone:
            told(person_id=person_id)


@cache
def _broker() -> redis.Redis:
    """One pool of connections a process; short waits."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)


def _key(person_id: int) -> str:
    return f"secondlook:pages:{person_id}"
