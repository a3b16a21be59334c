"""What one may ask about runs, candidates and golden configurations."""

from datetime import datetime, timedelta

from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce

from inspection.models import GoldenConfiguration
from training.models import Candidate, Run
from training.states import RunState

Lines = frozenset[str] | None  # codes of lines; None is every line

RING_AGAIN_AFTER = timedelta(seconds=10)
DEAD_AFTER = timedelta(seconds=60)


def runs_on(lines: Lines) -> QuerySet[Run]:
    """Runs with all that the page shows, newest first."""
    runs = Run.objects.select_related(
        "dataset_version__dataset__line", "person", "candidate", "candidate__golden"
    ).order_by("-id")
    return runs if lines is None else runs.filter(dataset_version__dataset__line__code__in=lines)


def candidates_on(lines: Lines) -> QuerySet[Candidate]:
    candidates = Candidate.objects.select_related(
        "run__dataset_version__dataset__line", "run__person", "golden"
    ).order_by("-id")
    return (
        candidates
        if lines is None
        else candidates.filter(run__dataset_version__dataset__line__code__in=lines)
    )


def goldens_on(lines: Lines) -> QuerySet[GoldenConfiguration]:
    goldens = GoldenConfiguration.objects.select_related(
        "line", "part_type", "activated_by", "candidate"
    ).order_by("line__code", "-number")
    return goldens if lines is None else goldens.filter(line__code__in=lines)


def queued_run(run_id: int) -> Run | None:
    """The run if it still waits for a trainer; None if a repeated ring came too late."""
    return runs_on(None).filter(pk=run_id, state=RunState.QUEUED).first()


def unrung_runs(now: datetime) -> QuerySet[Run]:
    """Waiting runs whose last ring was so long ago that it may be lost. One that waits for its turn is rung again too."""
    return (
        Run.objects.annotate(last_ring=Coalesce(F("rung_at"), F("queued_at")))
        .filter(state=RunState.QUEUED, last_ring__lt=now - RING_AGAIN_AFTER)
        .order_by("id")
    )


def silent_runs(now: datetime) -> QuerySet[Run]:
    """Runs whose worker has not been heard of for so long that it must be dead."""
    return Run.objects.filter(state=RunState.RUNNING, heartbeat_at__lt=now - DEAD_AFTER).order_by("id")
