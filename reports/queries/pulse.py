"""Is the inspect worker alive? It renews one key every second; the key dies with it."""

from functools import cache

import redis
from django.conf import settings

PULSE_KEY = "secondlook:pulse:inspect"
PATIENCE_S = 0.5


@cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_connect_timeout=PATIENCE_S, socket_timeout=PATIENCE_S)


def broker_answers() -> bool:
    """Raises redis.RedisError if the broker does not answer in time."""
    return bool(_client(settings.REDIS_URL).ping())


def inspect_worker_is_alive() -> bool:
    """Raises redis.RedisError if the broker does not answer: then nothing is known."""
    return bool(_client(settings.REDIS_URL).exists(PULSE_KEY))


def inspect_worker_is_heard() -> bool:
    """As `inspect_worker_is_alive`, but a silent broker counts as a silent worker."""
    try:
        return inspect_worker_is_alive()
    except redis.RedisError:
        return False
