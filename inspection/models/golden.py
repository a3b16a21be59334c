"""The golden configuration: everything that a decision depends on, locked."""

import hashlib
import json
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from audit.models import Stateful
from inspection.models.floor import Line, PartType
from inspection.states import GOLDEN_TRANSITIONS, GoldenState


class FrozenConfigurationError(Exception):
    """A golden configuration that is no draft was to be changed."""


class GoldenConfiguration(Stateful):
    """Model hash, thresholds, preprocessing, camera and SOP revision of one line; one is active at a time.

    A score below `grey_from` is GOOD, one from `grey_to` on is BAD, between them GREY.
    """

    TRANSITIONS = GOLDEN_TRANSITIONS
    CONTENT = (
        "line_id",
        "part_type_id",
        "number",
        "model_name",
        "model_sha256",
        "family",
        "grey_from",
        "grey_to",
        "preprocessing",
        "camera",
        "sop_revision",
    )

    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="golden_configurations")
    part_type = models.ForeignKey(PartType, on_delete=models.PROTECT, related_name="golden_configurations")
    number = models.PositiveIntegerField()
    model_name = models.CharField(max_length=100)
    model_sha256 = models.CharField(max_length=64)
    family = models.CharField(max_length=32)
    grey_from = models.FloatField()
    grey_to = models.FloatField()
    preprocessing = models.JSONField(default=dict)
    camera = models.JSONField(default=dict, blank=True)
    sop_revision = models.CharField(max_length=32, default="1")
    content_sha256 = models.CharField(max_length=64, blank=True, default="", editable=False)
    state = models.CharField(max_length=16, choices=GoldenState.choices, default=GoldenState.DRAFT)
    created_at = models.DateTimeField(auto_now_add=True)
    locked_at = models.DateTimeField(null=True, blank=True)
    activated_at = models.DateTimeField(null=True, blank=True)
    activated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        verbose_name = "golden configuration"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["line", "number"], name="a_golden_configuration_has_its_number"),
            models.UniqueConstraint(
                fields=["line"],
                condition=Q(state=GoldenState.ACTIVE),
                name="a_line_has_one_active_golden_configuration",
            ),
            models.CheckConstraint(
                condition=Q(grey_from__gte=0.0, grey_to__lte=1.0, grey_from__lte=F("grey_to")),
                name="the_grey_band_lies_between_0_and_1",
            ),
            models.CheckConstraint(
                condition=Q(state=GoldenState.DRAFT) | ~Q(content_sha256=""),
                name="a_locked_golden_configuration_is_hashed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.line.code} golden {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding and self.state != GoldenState.DRAFT:
            raise FrozenConfigurationError(
                f"{self} is {self.state}: make a new golden configuration instead."
            )
        super().save(*args, **kwargs)

    def computed_sha256(self) -> str:
        """Hash of everything that a decision depends on; equals content_sha256 as long as nobody touched the row."""
        content = {name: getattr(self, name) for name in self.CONTENT}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
