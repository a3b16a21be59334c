"""A run is started, taken by one trainer, and ends with a candidate or with the sentence why not."""

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import IllegalMove, StaleState, move, record
from labeling.actions import freeze_version
from labeling.models import Dataset, DatasetVersion
from labeling.queries import contents_of, images_of
from training import queries
from training.actions.fitting import Fitted, fit_and_judge
from training.choice import AUTO, Material, choose_family
from training.doorbell import ring_training
from training.learning import LearningError
from training.models import Candidate, Run
from training.pictures import named_by_hash
from training.recipes import read_recipe
from training.reporting import Reporter, TakenAwayError, beating
from training.states import RunState
from vision.predictor import Progress, no_progress

MOST_ATTEMPTS = 3
MOST_A_SWEEP = 50
_log = logging.getLogger(__name__)


class RunGoesOnError(Exception):
    """A run of this version and family goes on with other settings; two at once would be taken for each other."""


def freeze_and_train(
    *,
    dataset: Dataset,
    actor: Actor,
    family: str = AUTO,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    augment: Mapping[str, Any] | None = None,
    preprocess: Mapping[str, Any] | None = None,
    person: Person | None = None,
) -> Run:
    """Freeze what the dataset holds now and start a run on it; where the recipe is refused nothing is frozen.

    Raises what `start_run` does, and NothingToFreezeError for an empty dataset.
    """
    images = contents_of(dataset).images
    wanted: dict[str, Any] = {
        "seed": seed,
        "options": options or {},
        "augment": augment or {},
        "preprocess": preprocess or {},
    }
    chosen = choose_family(Material.of(images)).family if family == AUTO else family
    read_recipe(family=chosen, read=named_by_hash(images), **wanted)
    version = freeze_version(dataset=dataset, actor=actor)
    return start_run(dataset_version=version, family=family, actor=actor, person=person, **wanted)


def start_run(
    *,
    dataset_version: DatasetVersion,
    actor: Actor,
    family: str = AUTO,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    augment: Mapping[str, Any] | None = None,
    preprocess: Mapping[str, Any] | None = None,
    person: Person | None = None,
) -> Run:
    """Queue a training and ring the trainer; an unfinished run just like it is returned instead.

    family  "auto" takes what the pictures allow (training.choice)
    options, augment, preprocess  as `training.recipes.read_recipe` takes them

    Raises RecipeError with the field for what cannot be trained, RunGoesOnError where a run of the same version and
    family goes on with other settings.
    """
    images = list(images_of(dataset_version))
    chosen, why = choose_family(Material.of(images)) if family == AUTO else (family, "")
    wanted: dict[str, Any] = {
        "seed": seed,
        "options": dict(options or {}),
        "augment": dict(augment or {}),
        "preprocess": dict(preprocess or {}),
    }
    recipe = read_recipe(family=chosen, read=named_by_hash(images), **wanted)
    wanted["options"] = json.loads(json.dumps(recipe.options))  # as the row gives them back
    unfinished = Run.objects.filter(
        dataset_version=dataset_version, family=chosen, state__in=[RunState.QUEUED, RunState.RUNNING]
    )
    try:
        with transaction.atomic():
            found = unfinished.first()
            if found:
                return _same(found, wanted)
            run = Run.objects.create(
                dataset_version=dataset_version,
                family=chosen,
                why_family=why,
                person=person,
                queued_at=timezone.now(),
                **wanted,
            )
            details = {"dataset_version": dataset_version.pk, "family": chosen, "why": why, **wanted}
            record(run, "queued", actor=actor, details=details)
            ring_training(run)
    except IntegrityError:  # the same button twice at the same moment
        return _same(unfinished.get(), wanted)
    return run


def _same(run: Run, wanted: Mapping[str, Any]) -> Run:
    """The unfinished run, if it is what was asked for; raises RunGoesOnError if not."""
    if all(getattr(run, name) == value for name, value in wanted.items()):
        return run
    raise RunGoesOnError(
        f"Run {run.pk} trains {run.family} on {run.dataset_version} with other settings. Wait until it has ended."
    )


def run_training(*, run: Run, actor: Actor, progress: Progress = no_progress) -> Candidate | None:
    """Fit the run's candidate, judge it and propose it.

    None if another trainer has the run, or if it failed: then `run.error` says why in a sentence. The candidate's
    row is committed after its model file is durable, so a candidate never lacks its file.
    """
    now = timezone.now()
    start: dict[str, Any] = {
        "started_at": now,
        "heartbeat_at": now,
        "progress": 0.0,
        "message": "Starting",
        "error": "",
    }
    try:
        move(run, RunState.RUNNING, actor=actor, attempts=run.attempts + 1, **start)
        with beating(run):
            fitted = fit_and_judge(run, Reporter(run, actor, progress))
        return propose(run=run, fitted=fitted, actor=actor)
    except (StaleState, IllegalMove, TakenAwayError) as taken:
        _log.info("%s", taken)
    except OperationalError:
        raise  # the database is away: the heartbeat stops, and the sweeper puts the run back in the queue
    except Exception as problem:
        _log.exception("%s failed", run)
        _fail(run, _sentence(problem), actor)
    return None


def sweep(*, now: datetime, actor: Actor) -> dict[str, int]:
    """Ring again for runs that wait; put runs of dead trainers back in the queue, at most three times."""
    done = {"rung": 0, "requeued": 0, "failed": 0}
    for run in queries.silent_runs(now)[:MOST_A_SWEEP]:
        if run.attempts >= MOST_ATTEMPTS:
            done["failed"] += _fail(
                run, f"The trainer died {run.attempts} times during this run. See its log.", actor
            )
        else:
            done["requeued"] += _requeue(run, actor)
    for run in queries.unrung_runs(now)[:MOST_A_SWEEP]:
        ring_training(run)
        done["rung"] += 1
    return done


@transaction.atomic
def propose(*, run: Run, fitted: Fitted, actor: Actor) -> Candidate:
    """End the run with its candidate, whose model file is in the storage already."""
    move(
        run,
        RunState.FINISHED,
        actor=actor,
        details={"model_sha256": fitted.model_sha256},
        progress=1.0,
        message="Finished",
        finished_at=timezone.now(),
        metrics=fitted.metrics,
    )
    candidate = Candidate.objects.create(
        run=run,
        model_name=fitted.model_name,
        model_sha256=fitted.model_sha256,
        preprocessing=fitted.preprocessing,
        grey_from=fitted.grey_from,
        grey_to=fitted.grey_to,
        metrics=fitted.metrics,
        made_at=timezone.now(),
    )
    record(candidate, "proposed", actor=actor, details={"run": run.pk, "model_sha256": fitted.model_sha256})
    return candidate


def _requeue(run: Run, actor: Actor) -> int:
    waiting = "The trainer stopped answering; the run waits for the next one."
    try:
        with transaction.atomic():
            move(
                run,
                RunState.QUEUED,
                actor=actor,
                verb="requeued",
                progress=0.0,
                message=waiting,
                heartbeat_at=None,
            )
            ring_training(run)
    except (StaleState, IllegalMove):  # it ended after all
        return 0
    return 1


def _fail(run: Run, sentence: str, actor: Actor) -> int:
    try:
        move(
            run,
            RunState.FAILED,
            actor=actor,
            details={"error": sentence},
            error=sentence[:500],
            message="Failed",
            finished_at=timezone.now(),
        )
    except (StaleState, IllegalMove):
        return 0
    return 1


def _sentence(problem: Exception) -> str:
    if isinstance(problem, LearningError | ValueError | OSError) and str(problem):
        return str(problem)
    return f"The trainer met a problem that it does not know ({type(problem).__name__}): {problem}"
