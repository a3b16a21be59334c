"""A painted crack, all the way: a labeler's mask, a frozen version, a U-Net, the inspect worker's word."""

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

import labeling.actions
from accounts.models import Role
from inspection.worker.eye import Eye
from labeling.masks import keep_mask, mask_of
from tests import factories
from tests.factories import TESTER
from tests.labeling import steps
from training import actions
from training.learning import LearningError
from training.models import Run
from training.pictures import sample_of
from vision.images import decode

pytestmark = pytest.mark.django_db

TINY = {"tile_px": 64, "overlap_px": 16, "steps": 3, "batch": 2}
CRACKS = range(300, 310)


@pytest.fixture
def station():
    return factories.station()


@pytest.fixture
def dataset(station, tmp_path):
    dataset = labeling.actions.make_dataset(line=station.line, name="discs", actor=TESTER)
    folder = steps.folder_of(tmp_path / "folder", good=14)
    labeling.actions.import_folder(dataset=dataset, folder=folder, actor=TESTER)
    return dataset


def painted_cracks(station) -> None:
    """Inspectors find bad parts, a labeler paints each over the product's own door."""
    labeler = Client()
    labeler.force_login(factories.person(Role.IMAGE_LABELER))
    inspector = factories.inspector()
    for seed in CRACKS:
        part = steps.graded_disc(station, seed=seed, is_bad=True, group=f"tile {seed}", inspector=inspector)
        mask = SimpleUploadedFile("mask.png", steps.scratch_mask(seed))
        assert labeler.post("/api/v1/labels/", {"part": part.pk, "mask": mask}).status_code == 201


def test_a_painted_crack_becomes_a_model_that_the_inspect_worker_accepts(station, dataset):
    painted_cracks(station)
    developer = factories.person(Role.VISION_DEVELOPER)
    client = Client()
    client.force_login(developer)

    frozen = client.post(f"/api/v1/datasets/{dataset.pk}/versions/").json()
    body = {"dataset_version": frozen["id"], "family": "unet", "options": TINY}
    queued = client.post("/api/v1/runs/", body, "application/json").json()
    run = Run.objects.get(pk=queued["id"])
    candidate = actions.run_training(run=run, actor=TESTER)

    assert frozen["counts"]["painted"] == len(CRACKS)
    assert (run.state, run.error) == ("finished", "")
    assert TINY.items() <= candidate.metrics["recipe"]["options"].items()
    assert candidate.metrics["n_fit_bad"] + candidate.metrics["n_bad"] == len(CRACKS)
    assert "scratch" in candidate.metrics["auroc_by_defect_after"]
    assert candidate.metrics["n_painted"] == candidate.metrics["n_bad"] > 0
    assert 0 <= candidate.metrics["aupro_after"] <= 1
    assert "Finds each painted region" in client.get("/training/").content.decode()

    actions.activate(candidate=candidate, actor=TESTER)
    loaded = Eye(actor=TESTER).loaded_for(station.line)

    assert loaded.ready.reference_count > 0
    [seen] = loaded.predictor.predict([decode(steps.disc(999, is_bad=True))])
    assert 0 <= seen.score <= 1


def test_what_teaches_is_what_was_painted_when_the_version_was_frozen(station, dataset):
    painted_cracks(station)
    version = labeling.actions.freeze_version(dataset=dataset, actor=TESTER)

    for image in version.images.filter(grade="bad"):
        example = sample_of(image).read()
        assert (example.is_bad, example.defect, example.group) == (True, "scratch", image.group)
        assert (example.mask == mask_of(image)).all()


def test_bad_parts_without_any_mask_fail_a_unet_with_a_sentence_and_lose_nothing(station, dataset):
    inspector = factories.inspector()
    for seed in CRACKS:
        steps.graded_disc(station, seed=seed, is_bad=True, group=f"tile {seed}", inspector=inspector)
    version = labeling.actions.freeze_version(dataset=dataset, actor=TESTER)
    run = actions.start_run(dataset_version=version, family="unet", options=TINY, actor=TESTER)

    assert actions.run_training(run=run, actor=TESTER) is None

    run.refresh_from_db()
    assert run.state == "failed"
    assert "paint" in run.error
    assert run.options == TINY


def test_a_mask_that_is_not_as_large_as_its_picture_teaches_nobody(station, dataset):
    part = steps.graded_disc(station, seed=300, is_bad=True)
    image = labeling.actions.freeze_version(dataset=dataset, actor=TESTER).images.get(part=part)
    image.mask_file, image.mask_sha256 = keep_mask(np.ones((9, 9), np.bool_))

    with pytest.raises(LearningError, match="not as large as its picture"):
        sample_of(image).read()
