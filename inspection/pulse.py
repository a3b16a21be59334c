"""The inspect worker's sign of life in the broker: present while it makes progress, gone 3 s after it stopped.

Watch progress, not liveness: a worker that hangs in one part has a living process and no pulse.
"""

import logging
import threading
import time
from collections.abc import Callable

import redis
from django.conf import settings

KEY = "secondlook:pulse:inspect"
EVERY_S, LASTS_S = 1.0, 3
LONGEST_PART_S = 20.0
_log = logging.getLogger(__name__)


class Pulse:
    """busy_since  since when (monotonic) the oldest part is being looked at; None while nothing is"""

    def __init__(self, busy_since: Callable[[], float | None]) -> None:
        self._busy_since = busy_since

    def start(self) -> None:
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def _beat(self) -> None:
        broker = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
        while True:
            busy_since = self._busy_since()
            if busy_since is None or time.monotonic() - busy_since < LONGEST_PART_S:
                try:
                    broker.set(KEY, int(time.time()), ex=LASTS_S)
                except redis.RedisError as problem:
                    _log.debug("no pulse: %s", problem)
            time.sleep(EVERY_S)
