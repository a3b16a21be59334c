"""When a commit may return before the disk has it: where a later durable commit stands between it and the world."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def carried_commit() -> Iterator[None]:
    """A transaction that does not wait for the disk by itself; the next ordinary commit of anybody carries it there.

    Both databases write one log in order, so a durable commit makes all earlier ones durable too: SQLite's WAL with
    `synchronous=NORMAL` instead of FULL, PostgreSQL's `synchronous_commit`. A killed process loses nothing either
    way; a power cut may lose the last of these commits, but never one that an ordinary commit followed.

    Use it only for what nobody outside hears of before such a commit: the PLC is written to after the gateway's own
    durable commit, so the model's decision may be carried by that one. Inside another transaction it changes nothing.
    """
    if connection.in_atomic_block:
        with transaction.atomic():
            yield
        return
    if connection.vendor == "sqlite":
        _pragma("NORMAL")
        try:
            with transaction.atomic():
                yield
        finally:
            _pragma("FULL")
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO OFF")
        yield


def _pragma(synchronous: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA synchronous={synchronous}")
