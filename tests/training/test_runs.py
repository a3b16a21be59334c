"""Real PatchCore on a few small discs."""

from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

import labeling.actions
from audit.transitions import move
from inspection import storage
from inspection.queries import active_golden
from tests import factories
from tests.factories import TESTER
from tests.labeling import steps
from tests.training.steps import proposed, started
from training import actions, queries
from training.learning import shrunk
from training.models import Candidate, Run
from training.reporting import Reporter
from training.states import CandidateState, RunState
from vision import model_file
from vision.families import new_predictor
from vision.images import decode
from vision.models.trunk import whole_image
from vision.predictor import Example, no_progress

pytestmark = pytest.mark.django_db


@pytest.fixture
def station():
    return factories.station()


@pytest.fixture
def version(station, tmp_path):
    dataset = labeling.actions.make_dataset(line=station.line, name="discs", actor=TESTER)
    folder = steps.folder_of(tmp_path / "folder", good=14)
    labeling.actions.import_folder(dataset=dataset, folder=folder, actor=TESTER)
    return labeling.actions.freeze_version(dataset=dataset, actor=TESTER)


def test_two_runs_judged_before_and_after_on_the_same_held_out_parts(station, version):
    # The first run: only imported good parts.
    run = started(version)
    first = actions.run_training(run=run, actor=TESTER)

    assert (run.state, run.progress, run.error) == (RunState.FINISHED, 1.0, "")
    assert first.state == CandidateState.PROPOSED
    predictor = model_file.load(
        storage.local_model(first.model_sha256), expected_sha256=first.model_sha256, device="cpu"
    )
    [prediction] = predictor.predict([decode(steps.disc(77))])
    assert 0 <= prediction.score <= 1
    assert 0 <= first.grey_from <= first.grey_to <= 1
    assert first.metrics["auroc_after"] is None
    assert first.metrics["auroc_after_reason"].startswith("No graded bad part")
    assert first.metrics["auroc_before"] is None
    assert first.metrics["auroc_before_reason"] == "The line has no active model yet."
    assert first.metrics["underkill_after"] == {"k": 0, "n": 0}

    # The second run: people have graded parts meanwhile.
    actions.activate(candidate=first, actor=TESTER)
    inspector = factories.inspector()
    for seed in range(24):
        steps.graded_disc(
            station, seed=500 + seed, is_bad=seed % 2 == 0, group=f"t{seed}", inspector=inspector
        )
    grown = labeling.actions.freeze_version(dataset=version.dataset, actor=TESTER)
    second = actions.run_training(run=started(grown), actor=TESTER)

    metrics = second.metrics
    assert metrics["n_bad"] == grown.counts["holdout_bad"] > 0
    assert metrics["n_good"] == grown.counts["holdout_good"]
    assert 0.5 <= metrics["auroc_before"] <= 1
    assert metrics["auroc_after"] >= 0.9
    everything = metrics["n_good"] + metrics["n_bad"]
    assert metrics["review_rate_before"]["n"] == metrics["review_rate_after"]["n"] == everything


@pytest.mark.parametrize("shape", [(300, 410, 3), (100, 90, 3), (224, 224, 3)])
def test_shrinking_on_loading_changes_no_bit_of_what_the_model_sees(shape):
    predictor = new_predictor("patchcore", device="cpu")
    large = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)

    mask = np.zeros(shape[:2], np.bool_)
    mask[7, :] = True  # one pixel high

    small = shrunk(Example(large, is_bad=True, mask=mask), predictor.preprocessing)

    assert small.pixels.shape == (224, 224, 3)
    assert np.array_equal(whole_image(large, input_px=224), whole_image(small.pixels, input_px=224))
    assert small.mask is not None
    assert small.mask.any(axis=0).all()


def test_activating_a_candidate_writes_the_lines_new_golden_configuration(station, version):
    first = factories.golden(station)
    candidate = proposed(version)
    person = factories.expert()

    golden = actions.activate(candidate=candidate, actor=TESTER, person=person)

    assert active_golden(station.line) == golden
    assert (golden.model_sha256, golden.grey_from, golden.grey_to) == (
        candidate.model_sha256,
        candidate.grey_from,
        candidate.grey_to,
    )
    assert golden.content_sha256 == golden.computed_sha256()
    candidate.refresh_from_db()
    first.refresh_from_db()
    assert (candidate.state, first.state) == (CandidateState.ACTIVATED, "retired")
    assert golden.activated_by == person


def test_accepting_locks_but_does_not_activate(station, version):
    candidate = proposed(version)

    golden = actions.accept(candidate=candidate, actor=TESTER)

    assert (golden.state, active_golden(station.line)) == ("locked", None)
    assert actions.accept(candidate=candidate, actor=TESTER) == golden


def test_a_retired_configuration_can_be_made_active_again(station):
    first, second = factories.golden(station), factories.golden(station)
    first.refresh_from_db()

    actions.make_active(golden=first, actor=TESTER)

    second.refresh_from_db()
    assert (active_golden(station.line), second.state) == (first, "retired")


def test_a_changed_picture_fails_the_run_with_a_sentence(version):
    image = version.images.first()
    storage.write(image.file, steps.disc(4711))
    run = started(version)

    assert actions.run_training(run=run, actor=TESTER) is None

    run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert "does not match its sha256" in run.error
    assert not Candidate.objects.exists()


def test_too_few_good_parts_fail_the_run_with_a_sentence(station, tmp_path):
    dataset = labeling.actions.make_dataset(line=station.line, name="few", actor=TESTER)
    labeling.actions.import_folder(dataset=dataset, folder=steps.folder_of(tmp_path, good=2), actor=TESTER)
    run = started(labeling.actions.freeze_version(dataset=dataset, actor=TESTER))

    assert actions.run_training(run=run, actor=TESTER) is None
    assert run.error.endswith(".")


def test_one_run_is_taken_by_one_trainer(version):
    run = started(version)
    Run.objects.filter(pk=run.pk).update(
        state=RunState.RUNNING, version=1, started_at=timezone.now(), heartbeat_at=timezone.now()
    )

    assert actions.run_training(run=run, actor=TESTER) is None
    assert Run.objects.get(pk=run.pk).state == RunState.RUNNING


def test_starting_twice_gives_the_unfinished_run(version):
    assert started(version) == started(version)


def test_an_unknown_family_is_refused(version):
    with pytest.raises(actions.UnknownFamilyError, match="patchcore"):
        actions.start_run(dataset_version=version, family="oracle", actor=TESTER)


def dead(run: Run, *, attempts: int) -> None:
    long_ago = timezone.now() - timedelta(minutes=2)
    Run.objects.filter(pk=run.pk).update(
        state=RunState.RUNNING, started_at=long_ago, heartbeat_at=long_ago, attempts=attempts
    )


def test_a_run_whose_trainer_died_goes_back_to_the_queue(version):
    run = started(version)
    dead(run, attempts=1)

    assert actions.sweep(now=timezone.now(), actor=TESTER)["requeued"] == 1
    assert queries.queued_run(run.pk) == run


def test_a_run_whose_trainers_died_three_times_has_failed(version):
    run = started(version)
    dead(run, attempts=3)

    assert actions.sweep(now=timezone.now(), actor=TESTER)["failed"] == 1
    run.refresh_from_db()
    assert (run.state, run.error) == (
        RunState.FAILED,
        "The trainer died 3 times during this run. See its log.",
    )


def test_a_run_with_a_heartbeat_is_left_alone(version):
    run = started(version)
    Run.objects.filter(pk=run.pk).update(
        state=RunState.RUNNING, started_at=timezone.now(), heartbeat_at=timezone.now()
    )

    assert actions.sweep(now=timezone.now(), actor=TESTER) == {"rung": 0, "requeued": 0, "failed": 0}


def test_a_waiting_run_is_rung_again_after_ten_seconds(version):
    started(version)

    assert actions.sweep(now=timezone.now() + timedelta(seconds=9), actor=TESTER)["rung"] == 0
    assert actions.sweep(now=timezone.now() + timedelta(seconds=11), actor=TESTER)["rung"] == 1


def test_a_new_step_is_written_at_once_however_soon_it_comes(version):
    run = started(version)
    move(run, RunState.RUNNING, actor=TESTER, started_at=timezone.now(), heartbeat_at=timezone.now())
    report = Reporter(run, TESTER, no_progress)

    report(0.1, "Reading picture 1 of 9")
    report(0.2, "Reading picture 2 of 9")
    assert Run.objects.get(pk=run.pk).message == "Reading picture 1 of 9"
    report(0.3, "Judging parts that were kept out, round 1 of 3")

    assert Run.objects.get(pk=run.pk).message == "Judging parts that were kept out, round 1 of 3"
