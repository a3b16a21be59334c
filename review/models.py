"""Cases (grey parts that wait for a person), what inspectors say of them, and the expert's rulings."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from audit.models import Stateful
from inspection.models import Part
from review.states import CASE_TRANSITIONS, CaseState, ClosedBy, Grade, VerdictWord


class Case(Stateful):
    """One held part in the review queue. While it is leased, one reviewer has it on the screen until a time."""

    TRANSITIONS = CASE_TRANSITIONS

    part = models.OneToOneField(Part, primary_key=True, on_delete=models.PROTECT, related_name="case")
    state = models.CharField(max_length=16, choices=CaseState.choices, default=CaseState.WAITING)
    opened_at = models.DateTimeField()
    deadline_at = models.DateTimeField()
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="leased_cases"
    )
    lease_token = models.CharField(max_length=64, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=16, choices=ClosedBy.choices, blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~Q(state=CaseState.LEASED)
                | (Q(reviewer__isnull=False, lease_expires_at__isnull=False) & ~Q(lease_token="")),
                name="a_leased_case_names_its_reviewer",
            ),
            models.CheckConstraint(
                condition=~Q(state=CaseState.CLOSED) | (Q(closed_at__isnull=False) & ~Q(closed_by="")),
                name="a_closed_case_says_when_and_by_what",
            ),
            models.UniqueConstraint(
                fields=["reviewer"],
                condition=Q(state=CaseState.LEASED),
                name="a_reviewer_leases_one_case_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(state__in=CaseState.values), name="a_case_is_in_a_known_state"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["state", "deadline_at"],
                condition=~Q(state=CaseState.CLOSED),
                name="case_in_the_queue",
            ),
        ]

    def __str__(self) -> str:
        return f"case {self.pk}"


class Verdict(models.Model):
    """What one inspector said of one case; it stands until it is undone, and is carried out at `commit_at`."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="verdicts")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="verdicts")
    verdict = models.CharField(max_length=16, choices=VerdictWord.choices)
    is_escalation = models.BooleanField(default=False)
    defect_type = models.CharField(max_length=64, blank=True, default="")
    note = models.CharField(max_length=500, blank=True, default="")
    seen_ms = models.PositiveIntegerField(null=True, blank=True)
    idempotency_key = models.CharField(max_length=64)
    lease_token = models.CharField(max_length=64)
    given_at = models.DateTimeField()
    commit_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["person", "idempotency_key"], name="an_idempotency_key_gives_one_verdict"
            ),
            models.UniqueConstraint(
                fields=["case"], condition=Q(undone_at__isnull=True), name="a_case_has_one_standing_verdict"
            ),
            models.CheckConstraint(
                condition=Q(verdict__in=VerdictWord.values), name="a_verdict_is_a_known_word"
            ),
        ]


class Ruling(models.Model):
    """What the quality expert decided on a tie."""

    case = models.OneToOneField(Case, on_delete=models.PROTECT, related_name="ruling")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="rulings")
    grade = models.CharField(max_length=8, choices=Grade.choices)
    note = models.CharField(max_length=500, blank=True, default="")
    ruled_at = models.DateTimeField()
