"""Finds new dispositions often and cheaply, and late ones surely."""

import time
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from inspection.models import Disposition
from plc.models import PlcLink
from plc.queries import undelivered_dispositions

POLL_S = 0.01
# Ids are given before commit: on PostgreSQL a smaller one may become visible after a larger one.
OVERLAP = 50
LOOK_BACK_S = 1.0
SETTLED_AFTER = timedelta(minutes=10)  # no transaction of ours lasts as long
MOST_AT_ONCE = 200


class Outbox:
    """The dispositions of one PLC that have no delivery yet.

    Every 10 ms the newest few ids, every second all of the last ten minutes, at the start all of them.
    """

    def __init__(self, link: PlcLink, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        self._newest_id = 0
        self._settled_id = 0
        self._poll_at = self._look_back_at = 0.0

    def new(self) -> list[Disposition]:
        """What to deliver now; empty if it is too early to look again."""
        now = self._clock()
        if now < self._poll_at:
            return []
        self._poll_at = now + POLL_S
        if now >= self._look_back_at:
            rows = list(undelivered_dispositions(self._link, after_id=self._settled_id)[:MOST_AT_ONCE])
            if len(rows) < MOST_AT_ONCE:
                self._look_back_at = now + LOOK_BACK_S
                self._settle(rows)
        else:
            after_id = max(self._settled_id, self._newest_id - OVERLAP)
            rows = list(undelivered_dispositions(self._link, after_id=after_id)[:MOST_AT_ONCE])
        self._newest_id = max([self._newest_id, *(row.pk for row in rows)])
        return rows

    def _settle(self, undelivered: list[Disposition]) -> None:
        """Everything older than ten minutes has its delivery now, or is about to get it."""
        settled = (
            Disposition.objects.filter(id__gt=self._settled_id, decided_at__lt=timezone.now() - SETTLED_AFTER)
            .order_by("-id")
            .values_list("id", flat=True)
            .first()
        )
        newest = Disposition.objects.order_by("-id").values_list("id", flat=True).first() or 0
        self._newest_id = max(self._newest_id, newest)
        if settled is not None:
            self._settled_id = min([settled, *(row.pk - 1 for row in undelivered)])

    def forget(self) -> None:
        """After a failed transaction: what was found is not delivered yet, so look again at all that is young."""
        self._poll_at = self._look_back_at = 0.0
