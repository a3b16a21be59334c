"""The one function that changes a state, and the one that writes an event.

A state machine is a row with `state`, `version` and a class attribute `TRANSITIONS` (state -> states that may
follow). The move is a compare-and-swap in the database, so of two who try, one wins and the other is told.
"""

from collections.abc import Mapping
from typing import Any

from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from audit import live
from audit.actor import Actor
from audit.models import Event, Stateful


class IllegalMove(Exception):  # noqa: N818 - it is said as it is read: "raises IllegalMove"
    """The table of the state machine does not allow this step."""


class StaleState(Exception):  # noqa: N818 - see IllegalMove
    """Somebody else moved the row first."""


def move(
    row: Stateful,
    to: str,
    *,
    actor: Actor,
    verb: str = "",
    details: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Event:
    """Move the row to another state if the database still agrees on where it is; write the event beside it.

    changes  further fields of the row that are set in the same UPDATE

    Raises IllegalMove if the table forbids the step, StaleState if the row has moved meanwhile; then nothing is
    written and the row in memory is untouched.
    """
    before = str(row.state)
    if to not in row.TRANSITIONS.get(before, frozenset()):
        raise IllegalMove(f"A {row._meta.verbose_name} that is {before} cannot become {to}.")
    with transaction.atomic():
        moved = (
            type(row)
            ._default_manager.filter(pk=row.pk, state=before, version=row.version)
            .update(state=to, version=F("version") + 1, **changes)
        )
        if moved != 1:
            raise StaleState(f"This {row._meta.verbose_name} is no longer {before}: somebody else was first.")
        event = _write(
            row,
            actor=actor,
            verb=verb or to,
            before=before,
            after=to,
            version=row.version + 1,
            details=details,
        )
    row.state, row.version = to, row.version + 1
    for name, value in changes.items():
        setattr(row, name, value)
    return event


def record(
    row: models.Model,
    verb: str,
    *,
    actor: Actor,
    details: Mapping[str, Any] | None = None,
    version: int | None = None,
) -> Event:
    """Write an event that changes no state (a row was made, a person looked). Call it inside the transaction."""
    known = version if version is not None else getattr(row, "version", 0)
    return _write(
        row,
        actor=actor,
        verb=verb,
        before="",
        after=str(getattr(row, "state", "")),
        version=known,
        details=details,
    )


def _write(
    row: Any,
    *,
    actor: Actor,
    verb: str,
    before: str,
    after: str,
    version: int,
    details: Mapping[str, Any] | None,
) -> Event:
    event = Event.objects.create(
        at=timezone.now(),
        actor_kind=actor.kind,
        actor_name=actor.name,
        person_id=actor.person_id,
        subject_kind=row._meta.model_name,
        subject_id=row.pk,
        subject_version=version,
        verb=verb,
        before=before,
        after=after,
        details=dict(details or {}),
    )
    transaction.on_commit(lambda: live.announce(live.doorbell_of(event)))
    return event
