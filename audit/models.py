"""Append-only events, and the seals that chain them.

An event is written in the transaction of the change that it tells; it takes no lock, so writers never wait for
each other. Right after, the one sealing process gives each event its place in the hash chain (`Seal`). A chain
link inside the writers' transactions would need one lock for the whole plant: docs/decisions/0003.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

from django.conf import settings
from django.db import models


class Stateful(models.Model):
    """A row that is a state machine: `audit.transitions.move` alone changes its `state`.

    TRANSITIONS  state -> states that may follow
    version      counts the moves; the compare-and-swap holds on to it
    """

    TRANSITIONS: ClassVar[Mapping[str, frozenset[str]]]
    state = models.CharField(max_length=16)
    version = models.PositiveIntegerField(default=0)

    class Meta:
        abstract = True


class AppendOnlyError(Exception):
    """An event or a seal was to be changed or deleted."""


class AppendOnly(models.Model):
    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError("The audit trail is append-only: write a new event instead.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("The audit trail is append-only: nothing in it is deleted.")


class Event(AppendOnly):
    """One thing that happened to one row: `before -> after` for a state change, a verb for anything else."""

    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=16)
    actor_name = models.CharField(max_length=150)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    subject_kind = models.CharField(max_length=32)
    subject_id = models.BigIntegerField()
    subject_version = models.PositiveIntegerField()
    verb = models.CharField(max_length=32)
    before = models.CharField(max_length=16, blank=True)
    after = models.CharField(max_length=16, blank=True)
    details = models.JSONField(default=dict)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["subject_kind", "subject_id", "id"], name="event_of_subject")
        ]


class Seal(AppendOnly):
    """The place of one event in the chain: sha256 over the previous hash and the event's canonical text."""

    number = models.BigIntegerField(primary_key=True)
    event = models.OneToOneField(Event, on_delete=models.PROTECT, related_name="seal")
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)
