"""Finds new dispositions at once and cheaply, and late ones surely."""

import time
from collections.abc import Callable
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from inspection.models import Disposition
from plc.models import PlcLink
from plc.queries import undelivered_dispositions

POLL_S = 0.02  # a bell wakes the gateway long before; this is for rings that were lost
# PostgreSQL gives ids before commit, so a smaller one may become visible after a larger one: the newest ids are
# looked at for a while after the last change, and all young ones every second. SQLite has one writer at a time.
OVERLAP = 50
RESTLESS_S = 0.1
LOOK_BACK_S = 1.0
SETTLED_AFTER = timedelta(minutes=2)  # no transaction of ours lasts as long
SETTLE_EVERY_S = 30.0
MOST_AT_ONCE = 200
NEWEST_ID = f"SELECT MAX(id) FROM {Disposition._meta.db_table}"  # noqa: S608 - the name of our own table


class Outbox:
    """The dispositions of one PLC that have no delivery yet.

    Every 20 ms, and whenever a bell rings, it asks for the newest id, and for the newest rows if that changed; every second for all rows of the
    last minutes; at the start for all.
    """

    def __init__(self, link: PlcLink, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        self._newest_id = 0
        self._settled_id = 0
        self._poll_at = self._look_back_at = self._restless_until = self._settle_at = 0.0

    def new(self) -> list[Disposition]:
        """What to deliver now; empty if it is too early to look again."""
        now = self._clock()
        if now < self._poll_at:
            return []
        self._poll_at = now + POLL_S
        before = self._newest_id
        self._newest_id = _newest_id()
        if self._newest_id != before:
            self._restless_until = now + (0.0 if connection.vendor == "sqlite" else RESTLESS_S)
        if now >= self._look_back_at:
            return self._look_back(now)
        if now > self._restless_until:
            return []
        return self._after(max(self._settled_id, min(before, self._newest_id) - OVERLAP))

    def look_now(self) -> None:
        """Do not wait for the next poll."""
        self._poll_at = 0.0

    def forget(self) -> None:
        """After a failed transaction: what was found is not delivered yet, so look again at all that is young."""
        self._poll_at = self._look_back_at = 0.0

    def _after(self, after_id: int) -> list[Disposition]:
        return list(undelivered_dispositions(self._link, after_id=after_id)[:MOST_AT_ONCE])

    def _look_back(self, now: float) -> list[Disposition]:
        rows = self._after(self._settled_id)
        if len(rows) < MOST_AT_ONCE:
            self._look_back_at = now + LOOK_BACK_S
            if now >= self._settle_at:
                self._settle_at = now + SETTLE_EVERY_S
                self._settle(rows)
        return rows

    def _settle(self, undelivered: list[Disposition]) -> None:
        """Everything older than two minutes has its delivery now, or is about to get it."""
        settled = (
            Disposition.objects.filter(id__gt=self._settled_id, decided_at__lt=timezone.now() - SETTLED_AFTER)
            .order_by("-id")
            .values_list("id", flat=True)
            .first()
        )
        if settled is not None:
            self._settled_id = min([settled, *(row.pk - 1 for row in undelivered)])


def _newest_id() -> int:
    """Plain SQL: the ORM would spend ten times as long on the question that is asked most."""
    with connection.cursor() as cursor:
        cursor.execute(NEWEST_ID)
        return cursor.fetchone()[0] or 0
