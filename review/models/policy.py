"""How a line is reviewed, and the known parts that are slipped into its queue. Both are data, each change audited."""

from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from inspection.models import Line, Part
from review.states import Grade

SHARE = (MinValueValidator(0.0), MaxValueValidator(1.0))


class ReviewPolicy(models.Model):
    """One revision of how a line is reviewed; the newest of a line stands, older ones tell what was in force.

    The defaults are what a new line should begin with. A line without any revision is reviewed plainly:
    `review.queries.PLAIN`.

    double_share   share of cases that two people judge without seeing each other
    newcomer_days  for so long after their first verdict all cases of an inspector go to two people
    probe_share    probes slipped in per real case
    audit_share    share of automatic passes that join the queue unmarked
    overkill_cost  what rejecting one good part costs, in the unit of the report; orders cases of equal deadline
    """

    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="review_policies")
    number = models.PositiveIntegerField()
    is_blind_first = models.BooleanField(default=False)
    double_share = models.FloatField(default=0.1, validators=SHARE)
    newcomer_days = models.PositiveSmallIntegerField(default=7)
    probe_share = models.FloatField(default=0.05, validators=SHARE)
    audit_share = models.FloatField(default=0.015, validators=SHARE)
    amber_s = models.PositiveIntegerField(default=60)
    break_after_min = models.PositiveSmallIntegerField(default=18, validators=[MinValueValidator(5)])
    late_grading_h = models.PositiveSmallIntegerField(default=8)
    degrades_on_overflow = models.BooleanField(default=True)
    overkill_cost = models.FloatField(default=1.0, validators=[MinValueValidator(0.0)])
    reference_part = models.ForeignKey(
        Part, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    defect_types = models.JSONField(default=list, blank=True)
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    set_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "review policies"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["line", "number"], name="a_review_policy_has_its_number"),
            models.CheckConstraint(
                condition=Q(double_share__range=(0.0, 1.0))
                & Q(probe_share__range=(0.0, 1.0))
                & Q(audit_share__range=(0.0, 1.0)),
                name="shares_of_a_review_policy_lie_between_0_and_1",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.line.code} review policy {self.number}"


class Probe(models.Model):
    """A part of known grade that may be slipped into the queue to learn how well people see."""

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="probes")
    grade = models.CharField(max_length=8, choices=Grade.choices)
    defect_type = models.CharField(max_length=64, blank=True, default="")
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    added_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["part"], condition=Q(retired_at__isnull=True), name="a_part_is_one_probe_at_a_time"
            ),
            models.CheckConstraint(condition=Q(grade__in=Grade.values), name="a_probe_has_a_known_grade"),
        ]

    def __str__(self) -> str:
        return f"probe {self.pk} ({self.grade})"


class AuditDraw(models.Model):
    """How far a line's automatic passes have been drawn from for audits: each pass has exactly one chance."""

    line = models.OneToOneField(Line, primary_key=True, on_delete=models.PROTECT, related_name="audit_draw")
    seen_to = models.BigIntegerField(help_text="Id of the newest disposition that had its chance.")
