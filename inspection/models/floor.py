"""The floor: part types, lines and their stations. What a plant engineer changes here is data, each change audited."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from inspection.states import Mode

# Codes go into PLC tag names and part ids, so they are what a Logix tag name may be.
code_validator = RegexValidator(
    r"^[A-Z][A-Z0-9]{0,7}$", "Use 1 to 8 capital letters and digits, a letter first."
)


class PartType(models.Model):
    code = models.CharField(max_length=32, unique=True)
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Line(models.Model):
    """A production line; its times bound how long a part may wait at each step."""

    code = models.CharField(max_length=8, unique=True, validators=[code_validator])
    name = models.CharField(max_length=100)
    part_type = models.ForeignKey(PartType, on_delete=models.PROTECT, related_name="lines")
    mode = models.CharField(max_length=16, choices=Mode.choices, default=Mode.TWO_TIER)
    capture_deadline_ms = models.PositiveIntegerField(
        default=3_000, help_text="A triggered part without an image is held or rejected after this time."
    )
    inspect_deadline_ms = models.PositiveIntegerField(
        default=15_000, help_text="A captured part without a decision is held or rejected after this time."
    )
    review_deadline_ms = models.PositiveIntegerField(
        default=600_000, help_text="A held part without a verdict is rejected after this time."
    )
    commit_window_ms = models.PositiveIntegerField(
        default=3_000,
        validators=[MaxValueValidator(60_000)],
        help_text="A verdict can be undone for this long before the PLC is told.",
    )
    lease_ms = models.PositiveIntegerField(
        default=60_000,
        validators=[MinValueValidator(5_000)],
        help_text="A case returns to the queue after this.",
    )

    overflow_since = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Since then people cannot keep up, and what would be held is rejected.",
    )

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(mode__in=Mode.values), name="a_line_has_a_known_mode"),
        ]

    def __str__(self) -> str:
        return self.name


def one_view() -> list[str]:
    return ["main"]


class Station(models.Model):
    """One place on the line with its camera; `code` and `hold_mailbox` name the PLC mailboxes VIS_<code>_…

    views  every view that a part must have before it is inspected: a missing view never passes
    """

    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="stations")
    code = models.CharField(max_length=8, unique=True, validators=[code_validator])
    hold_mailbox = models.CharField(max_length=8, unique=True, validators=[code_validator])
    name = models.CharField(max_length=100)
    camera = models.JSONField(default=dict, blank=True)
    views = models.JSONField(default=one_view)
    epoch = models.PositiveIntegerField(default=1, help_text="Counts resets of the trigger counter.")
    max_pixels = models.PositiveIntegerField(
        default=60_000_000, help_text="A larger image is refused before it is decoded."
    )

    def __str__(self) -> str:
        return f"{self.code} {self.name}"
