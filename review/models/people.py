"""The people at the screen: how long they have worked, which keys they use, and whose eyes need a second pair."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q


class Spell(models.Model):
    """Work of one person between two breaks; only time in which the person was active at a visible page counts."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="spells")
    started_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    active_ms = models.PositiveIntegerField(default=0)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["person"],
                condition=Q(ended_at__isnull=True),
                name="a_person_works_one_spell_at_a_time",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["last_seen_at"], condition=Q(ended_at__isnull=True), name="spell_that_goes_on"
            ),
        ]


class Watch(models.Model):
    """An inspector whose probes went worse: until the expert lifts it, all their cases go to two people."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="watches")
    since = models.DateTimeField()
    why = models.CharField(max_length=300)
    cleared_at = models.DateTimeField(null=True, blank=True)
    cleared_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    note = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        verbose_name_plural = "watches"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["person"],
                condition=Q(cleared_at__isnull=True),
                name="a_person_is_watched_once_at_a_time",
            ),
        ]


class KeyMap(models.Model):
    """The keys that a person has moved: {verb: key}; verbs that are not named keep their standard key."""

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="key_map"
    )
    keys = models.JSONField(default=dict)
