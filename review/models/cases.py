"""Cases (parts that wait for a person), what inspectors say of them, and the expert's rulings."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from audit.models import Stateful
from inspection.models import Part
from review.models.policy import Probe
from review.states import CASE_TRANSITIONS, CaseKind, CaseState, ClosedBy, Grade, Handling, VerdictWord


class Case(Stateful):
    """One part in front of people. While it is leased, one reviewer has it on the screen until a time.

    kind           why people look: a held part, an audit of a pass, a probe, a flag; no screen of an inspector tells
    part           whose pictures are judged; of a probe: the known part, disposed long ago
    shown_part     whose number, serial and times the screen shows; another one only for a probe
    shown_score    the score that the screen shows; the model's own for a held part
    deadline_slot  `deadline_at` in whole slots of ten seconds: inside one, the costlier case comes first
    expected_cost  what it costs on average if nobody decides and the part is rejected
    draw_share     with which probability this pass was drawn for an audit: its weight is the inverse
    late_at        its deadline passed then and the fail-safe went out; what people say now is for the record only
    """

    TRANSITIONS = CASE_TRANSITIONS

    kind = models.CharField(max_length=8, choices=CaseKind.choices, default=CaseKind.HELD)
    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="cases")
    shown_part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="shown_in")
    shown_score = models.FloatField(null=True, blank=True)
    probe = models.ForeignKey(Probe, null=True, blank=True, on_delete=models.PROTECT, related_name="cases")
    state = models.CharField(max_length=16, choices=CaseState.choices, default=CaseState.WAITING)
    opened_at = models.DateTimeField()
    deadline_at = models.DateTimeField()
    deadline_slot = models.BigIntegerField()
    expected_cost = models.FloatField(default=0.0)
    draw_share = models.FloatField(null=True, blank=True)
    late_at = models.DateTimeField(null=True, blank=True)
    wants_opinions = models.PositiveSmallIntegerField(default=1)
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="leased_cases"
    )
    lease_token = models.CharField(max_length=64, blank=True, default="")
    leased_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=16, choices=ClosedBy.choices, blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["part"], condition=Q(kind=CaseKind.HELD), name="a_held_part_has_one_case"
            ),
            models.UniqueConstraint(
                fields=["part"], condition=Q(kind=CaseKind.AUDIT), name="a_pass_is_audited_once"
            ),
            models.UniqueConstraint(
                fields=["part"],
                condition=Q(kind=CaseKind.FLAGGED) & ~Q(state=CaseState.CLOSED),
                name="a_part_has_one_open_flag",
            ),
            models.UniqueConstraint(
                fields=["shown_part"], condition=Q(kind=CaseKind.PROBE), name="a_part_lends_its_number_once"
            ),
            models.CheckConstraint(
                condition=Q(kind=CaseKind.PROBE, probe__isnull=False)
                | (~Q(kind=CaseKind.PROBE) & Q(probe__isnull=True)),
                name="a_probe_and_only_a_probe_names_its_known_part",
            ),
            models.CheckConstraint(
                condition=~Q(kind=CaseKind.AUDIT) | Q(draw_share__gt=0.0),
                name="an_audit_knows_how_likely_it_was",
            ),
            models.CheckConstraint(condition=Q(kind__in=CaseKind.values), name="a_case_is_of_a_known_kind"),
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
                fields=["state", "deadline_slot", "-expected_cost", "id"],
                condition=~Q(state=CaseState.CLOSED),
                name="case_in_the_queue",
            ),
            models.Index(
                fields=["deadline_at"], condition=~Q(state=CaseState.CLOSED), name="case_with_a_deadline"
            ),
        ]

    def __str__(self) -> str:
        return f"case {self.pk}"


class FirstOpinion(models.Model):
    """On a blind-first line: what the inspector said before the score, the map and the precedents were shown."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="first_opinions")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=16, choices=VerdictWord.choices)
    given_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["case", "person"], name="a_first_opinion_is_given_once"),
            models.CheckConstraint(
                condition=Q(verdict__in=VerdictWord.values), name="a_first_opinion_is_a_known_word"
            ),
        ]


class Verdict(models.Model):
    """What one inspector said of one case; it stands until it is undone, and is carried out at `commit_at`.

    first_verdict  the blind opinion before it, where the line asks for one; another word than `verdict` is a change
    handling       how the real part had to be handled before anybody could tell
    marks          regions painted as boxes, [x, y, width, height] in image pixels: proposed labels
    seen_ms        how long the part was on the screen · active_ms: how long the person had worked without a break
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="verdicts")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="verdicts")
    verdict = models.CharField(max_length=16, choices=VerdictWord.choices)
    first_verdict = models.CharField(max_length=16, choices=VerdictWord.choices, blank=True, default="")
    is_escalation = models.BooleanField(default=False)
    defect_type = models.CharField(max_length=64, blank=True, default="")
    note = models.CharField(max_length=500, blank=True, default="")
    handling = models.CharField(max_length=8, choices=Handling.choices, blank=True, default="")
    marks = models.JSONField(default=list, blank=True)
    seen_ms = models.PositiveIntegerField(null=True, blank=True)
    active_ms = models.PositiveIntegerField(null=True, blank=True)
    idempotency_key = models.CharField(max_length=64)
    lease_token = models.CharField(max_length=64)
    leased_at = models.DateTimeField(null=True, blank=True)
    given_at = models.DateTimeField()
    commit_at = models.DateTimeField()
    committed_at = models.DateTimeField(null=True, blank=True)
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["person", "idempotency_key"], name="an_idempotency_key_gives_one_verdict"
            ),
            models.UniqueConstraint(
                fields=["case", "person"],
                condition=Q(undone_at__isnull=True),
                name="a_person_has_one_standing_verdict_on_a_case",
            ),
            models.UniqueConstraint(
                fields=["case"],
                condition=Q(undone_at__isnull=True, committed_at__isnull=True),
                name="a_case_has_one_verdict_in_its_commit_window",
            ),
            models.CheckConstraint(
                condition=Q(verdict__in=VerdictWord.values), name="a_verdict_is_a_known_word"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["commit_at"],
                condition=Q(undone_at__isnull=True, committed_at__isnull=True),
                name="verdict_in_its_commit_window",
            ),
            models.Index(fields=["person", "-given_at"], name="verdict_of_person_newest_first"),
        ]


class Ruling(models.Model):
    """What the quality expert decided on a tie; as a precedent it is shown beside similar parts from then on."""

    case = models.OneToOneField(Case, on_delete=models.PROTECT, related_name="ruling")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="rulings")
    grade = models.CharField(max_length=8, choices=Grade.choices)
    defect_type = models.CharField(max_length=64, blank=True, default="")
    note = models.CharField(max_length=500, blank=True, default="")
    is_precedent = models.BooleanField(default=False)
    ruled_at = models.DateTimeField()


class Flag(models.Model):
    """Somebody on the floor found a passed part that looks bad."""

    case = models.OneToOneField(Case, on_delete=models.PROTECT, related_name="flag")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    note = models.CharField(max_length=500, blank=True, default="")
    flagged_at = models.DateTimeField()
