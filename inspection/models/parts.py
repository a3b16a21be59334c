"""Parts, their images, what the model said, and what happens to them. Each safety rule stands again as a constraint."""

from typing import ClassVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from audit.models import Stateful
from inspection.models.floor import Line, PartType, Station
from inspection.models.golden import GoldenConfiguration
from inspection.states import PART_TRANSITIONS, Decision, Outcome, PartState, Reason, Source


class Part(Stateful):
    """One physical part at one station: made by a trigger, ended by exactly one final disposition."""

    TRANSITIONS = PART_TRANSITIONS

    plc_part_id = models.CharField(
        max_length=32,
        unique=True,
        validators=[RegexValidator(r"^[\x21-\x7e]{1,32}$", "Printable ASCII, at most 32 characters.")],
    )
    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="parts")
    station = models.ForeignKey(Station, on_delete=models.PROTECT, related_name="parts")
    part_type = models.ForeignKey(PartType, on_delete=models.PROTECT, related_name="parts")
    epoch = models.PositiveIntegerField()
    trigger_seq = models.PositiveBigIntegerField()
    serial = models.CharField(max_length=64, blank=True, default="", db_index=True)
    metadata = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=16, choices=PartState.choices, default=PartState.TRIGGERED)
    hold_reason = models.PositiveSmallIntegerField(choices=Reason.choices, null=True, blank=True)
    triggered_at = models.DateTimeField(db_index=True)
    captured_at = models.DateTimeField(null=True, blank=True)
    held_at = models.DateTimeField(null=True, blank=True)
    disposed_at = models.DateTimeField(null=True, blank=True)
    rung_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_at = models.DateTimeField(null=True, blank=True)
    claimed_by = models.CharField(max_length=100, blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["station", "epoch", "trigger_seq"], name="a_trigger_makes_exactly_one_part"
            ),
            models.CheckConstraint(
                condition=Q(state__in=PartState.values), name="a_part_is_in_a_known_state"
            ),
            models.CheckConstraint(
                condition=~Q(state=PartState.HELD) | Q(hold_reason__isnull=False, held_at__isnull=False),
                name="a_held_part_says_why_and_since_when",
            ),
            models.CheckConstraint(
                condition=~Q(state=PartState.DISPOSED) | Q(disposed_at__isnull=False),
                name="a_disposed_part_says_when",
            ),
        ]
        indexes: ClassVar = [
            # The sweeper, the queue and the station ask for the few parts that are not disposed.
            models.Index(
                fields=["state", "triggered_at"],
                condition=~Q(state=PartState.DISPOSED),
                name="part_on_its_way",
            ),
            models.Index(fields=["line", "-id"], name="part_of_line_newest_first"),
        ]

    def __str__(self) -> str:
        return self.plc_part_id


class Image(models.Model):
    """The bytes of one view as received, kept even if nobody can read them."""

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="images")
    view = models.CharField(max_length=32, default="main")
    file = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64, db_index=True)
    byte_count = models.PositiveIntegerField()
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True, default="")
    received_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["part", "view"], name="a_part_has_one_image_per_view"),
        ]


class Inspection(models.Model):
    """One look of the model at one part: a score and a decision, or the problem why there is none.

    view    the worst view, whose score counts and whose map is kept; `view_scores` has each view's
    defect  the likely type of the defect, where the model knows types
    """

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="inspections")
    golden = models.ForeignKey(
        GoldenConfiguration, null=True, blank=True, on_delete=models.PROTECT, related_name="inspections"
    )
    score = models.FloatField(null=True, blank=True)
    decision = models.CharField(max_length=8, choices=Decision.choices, blank=True, default="")
    problem = models.CharField(max_length=300, blank=True, default="")
    map_file = models.CharField(max_length=200, blank=True, default="")
    view = models.CharField(max_length=32, blank=True, default="")
    view_scores = models.JSONField(default=dict, blank=True)
    defect = models.CharField(max_length=64, blank=True, default="")
    decided_by = models.CharField(max_length=100)
    finished_at = models.DateTimeField()
    latency_ms = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["part"], name="a_part_is_inspected_once_at_its_station"),
            # NaN fails it too: PostgreSQL holds NaN above every number, SQLite stores it as NULL, and a CHECK
            # lets an unknown pass, so NULL is excluded by name.
            models.CheckConstraint(
                condition=Q(decision="")
                | Q(
                    decision__in=Decision.values,
                    golden__isnull=False,
                    score__isnull=False,
                    score__gte=0.0,
                    score__lte=1.0,
                ),
                name="a_decision_has_a_finite_score_and_a_golden_configuration",
            ),
        ]


class Disposition(models.Model):
    """What happens to the part: at most one HOLD, then exactly one final PASS or REJECT. Also the PLC's outbox row.

    superseded_at  a final disposition that the quality expert corrected before the PLC carried it out; it stays as a row
    applied_at     when the PLC program carried it out; the gateway writes it with the PLC's ack
    """

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="dispositions")
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    is_final = models.BooleanField()
    source = models.PositiveSmallIntegerField(choices=Source.choices)
    reason = models.PositiveSmallIntegerField(choices=Reason.choices)
    note = models.CharField(max_length=300, blank=True, default="")
    inspection = models.ForeignKey(
        Inspection, null=True, blank=True, on_delete=models.PROTECT, related_name="dispositions"
    )
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField()
    superseded_at = models.DateTimeField(null=True, blank=True)
    applied_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["part"], condition=Q(is_final=True), name="a_part_has_one_final_disposition"
            ),
            models.UniqueConstraint(
                fields=["part"], condition=Q(outcome=Outcome.HOLD), name="a_part_is_held_at_most_once"
            ),
            models.CheckConstraint(
                condition=Q(
                    is_final=True, outcome__in=[Outcome.PASS, Outcome.REJECT], superseded_at__isnull=True
                )
                | Q(is_final=False, outcome=Outcome.HOLD, superseded_at__isnull=True)
                | Q(is_final=False, outcome__in=[Outcome.PASS, Outcome.REJECT], superseded_at__isnull=False),
                name="a_pass_or_reject_is_final_until_it_is_superseded",
            ),
            models.CheckConstraint(
                condition=~Q(source=Source.CHANGED) | (Q(person__isnull=False) & ~Q(note="")),
                name="a_correction_says_by_whom_and_why",
            ),
            models.CheckConstraint(
                condition=~Q(outcome=Outcome.PASS)
                | Q(source=Source.MODEL, reason=Reason.CLEAR, inspection__isnull=False)
                | Q(source__in=[Source.HUMAN, Source.CHANGED], person__isnull=False),
                name="a_pass_needs_a_clear_inspection_or_a_person",
            ),
        ]
