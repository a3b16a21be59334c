"""Is this install fit to decide parts now? Each check is a name, a yes or no, and a sentence without secrets."""

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import redis
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection

from inspection.models import GoldenConfiguration, Line
from inspection.states import GoldenState
from reports.queries.pulse import broker_answers, inspect_worker_is_alive


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    ok: bool
    detail: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def checks() -> list[Check]:
    """All checks; none raises, and a check that could not be made has failed."""
    return [
        _checked("database", _database, (DatabaseError,)),
        _checked("broker", _broker, (redis.RedisError,)),
        # A storage backend may raise whatever its client library knows (botocore has its own tree).
        _checked("storage", _storage, (Exception,)),
        _checked("golden_configuration", _golden, (DatabaseError,)),
        _checked("inspect_worker", _inspect_worker, (redis.RedisError,)),
    ]


def _checked(name: str, check: Callable[[], str], failures: tuple[type[Exception], ...]) -> Check:
    """`check` returns the sentence of its failure, or nothing."""
    try:
        sentence = check()
    except failures as problem:
        # The kind and not the text: messages of clients name hosts, users and paths.
        sentence = f"No answer ({type(problem).__name__})."
    return Check(name, not sentence, sentence or "ok")


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return "" if cursor.fetchone() == (1,) else "The database does not count to one."


def _broker() -> str:
    return "" if broker_answers() else "The broker answers a PING with something else."


def _storage() -> str:
    """Write, read and remove a file of our own name, so that two checks at once do not meet."""
    content = secrets.token_bytes(16)
    name = default_storage.save(f"health/{secrets.token_hex(8)}", ContentFile(content))
    try:
        with default_storage.open(name, "rb") as file:
            return "" if file.read() == content else "The storage returned other bytes than were written."
    finally:
        default_storage.delete(name)


def _golden() -> str:
    without = Line.objects.exclude(
        pk__in=GoldenConfiguration.objects.filter(state=GoldenState.ACTIVE).values("line")
    ).values_list("code", flat=True)
    if not Line.objects.exists():
        return "No line is set up."
    return f"No active golden configuration on: {', '.join(sorted(without))}." if without else ""


def _inspect_worker() -> str:
    return "" if inspect_worker_is_alive() else "No inspect worker has been heard for 3 s."
