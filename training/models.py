"""Runs (one training each) and the candidates that they propose."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from audit.models import Stateful
from inspection.models import GoldenConfiguration
from labeling.models import DatasetVersion
from training.states import CANDIDATE_TRANSITIONS, RUN_TRANSITIONS, CandidateState, RunState


class Run(Stateful):
    """One training on one frozen version. The row is the queue of record; a Celery message only rings for it.

    why_family    what made it this family, if nobody chose; "" if somebody did
    options       of the family, where they are not its defaults
    augment       what is made of the pictures to learn from (vision.augment), {} for nothing
    preprocess    region, alignment and crop (vision.preprocess.plan), pictures named by their sha256; {} for nothing
    heartbeat_at  the worker says "I live" here; if it falls silent, the sweeper puts the run back in the queue
    rung_at       when the train worker was last called
    """

    TRANSITIONS = RUN_TRANSITIONS

    dataset_version = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="runs")
    family = models.CharField(max_length=32)
    why_family = models.CharField(max_length=300, blank=True, default="")
    seed = models.PositiveIntegerField(default=0)
    options = models.JSONField(default=dict, blank=True)
    augment = models.JSONField(default=dict, blank=True)
    preprocess = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=16, choices=RunState.choices, default=RunState.QUEUED)
    progress = models.FloatField(default=0.0)
    message = models.CharField(max_length=200, blank=True, default="")
    error = models.CharField(max_length=500, blank=True, default="")
    metrics = models.JSONField(default=dict)
    attempts = models.PositiveSmallIntegerField(default=0)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    queued_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    rung_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=RunState.values), name="a_run_is_in_a_known_state"),
            models.CheckConstraint(
                condition=~Q(state=RunState.FAILED) | ~Q(error=""), name="a_failed_run_says_why"
            ),
            models.CheckConstraint(
                condition=~Q(state=RunState.RUNNING)
                | Q(started_at__isnull=False, heartbeat_at__isnull=False),
                name="a_running_run_says_since_when",
            ),
            models.CheckConstraint(
                condition=Q(progress__gte=0.0, progress__lte=1.0), name="progress_lies_between_0_and_1"
            ),
            models.UniqueConstraint(
                fields=["dataset_version", "family"],
                condition=Q(state__in=[RunState.QUEUED, RunState.RUNNING]),
                name="a_version_has_one_unfinished_run_of_a_family",
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}"


class Candidate(Stateful):
    """A would-be golden configuration: a model file, two thresholds, and how they did on the held-out pictures."""

    TRANSITIONS = CANDIDATE_TRANSITIONS

    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="candidate")
    model_name = models.CharField(max_length=100)
    model_sha256 = models.CharField(max_length=64)
    preprocessing = models.JSONField(default=dict)
    grey_from = models.FloatField()
    grey_to = models.FloatField()
    metrics = models.JSONField(default=dict)
    state = models.CharField(max_length=16, choices=CandidateState.choices, default=CandidateState.PROPOSED)
    golden = models.OneToOneField(
        GoldenConfiguration, null=True, blank=True, on_delete=models.PROTECT, related_name="candidate"
    )
    made_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=CandidateState.values), name="a_candidate_is_in_a_known_state"
            ),
            models.CheckConstraint(
                condition=Q(grey_from__gte=0.0, grey_to__lte=1.0, grey_from__lte=F("grey_to")),
                name="a_candidates_grey_band_lies_between_0_and_1",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[CandidateState.ACCEPTED, CandidateState.ACTIVATED])
                | Q(golden__isnull=False),
                name="an_accepted_candidate_has_its_golden_configuration",
            ),
        ]

    def __str__(self) -> str:
        return f"candidate {self.pk}"
