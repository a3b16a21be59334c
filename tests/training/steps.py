"""Steps that tests of training share."""

from django.utils import timezone

from audit.transitions import move
from labeling.models import DatasetVersion
from tests.factories import TESTER
from training import actions
from training.actions.fitting import Fitted
from training.actions.runs import propose
from training.models import Candidate, Run
from training.states import RunState


def started(version: DatasetVersion) -> Run:
    return actions.start_run(dataset_version=version, family="patchcore", seed=1, actor=TESTER)


def proposed(version: DatasetVersion) -> Candidate:
    """A candidate without a training behind it, for tests of what people do with one."""
    run = started(version)
    move(run, RunState.RUNNING, actor=TESTER, started_at=timezone.now(), heartbeat_at=timezone.now())
    metrics = {
        "n_good": 3,
        "n_bad": 1,
        "auroc_before": None,
        "auroc_after": 0.9,
        "review_rate_after": {"k": 1, "n": 4},
    }
    fitted = Fitted("patchcore on discs", "a" * 64, {}, grey_from=0.2, grey_to=0.8, metrics=metrics)
    return propose(run=run, fitted=fitted, actor=TESTER)
