"""What people ask of a run: refused with the field and a sentence, or kept and used."""

import json
import re

import pytest
from django.test import Client

import labeling.actions
from accounts.models import Role
from labeling.models import DatasetVersion
from tests import factories
from tests.factories import TESTER
from tests.labeling import steps
from training import actions, queries
from training.models import Run
from training.recipes import read_json

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(tmp_path):
    dataset = labeling.actions.make_dataset(line=factories.station().line, name="discs", actor=TESTER)
    folder = steps.folder_of(tmp_path / "folder", good=14)
    labeling.actions.import_folder(dataset=dataset, folder=folder, actor=TESTER)
    return dataset


@pytest.fixture
def version(dataset):
    return labeling.actions.freeze_version(dataset=dataset, actor=TESTER)


@pytest.fixture
def client():
    client = Client()
    client.force_login(factories.person(Role.VISION_DEVELOPER))
    return client


REFUSED = [
    ({"family": "oracle"}, "family", "oracle"),
    ({"family": "onnx"}, "family", "onnx"),
    (
        {"family": "patchcore", "options": {"tile_px": 128}},
        "options",
        "There is no option 'tile_px'; there are: bank_size",
    ),
    ({"family": "unet", "options": {"tile_px": 100}}, "options", "tile_px is a multiple of 32"),
    ({"family": "unet", "options": {"steps": "many"}}, "options", "The option steps is int, not 'many'"),
    (
        {"family": "hybrid", "options": {"supervised_options": {"unet": {"bank_size": 3}}}},
        "options",
        "its member unet: There is no option 'bank_size'",
    ),
    (
        {"family": "hybrid", "options": {"supervised_options": {"probe": 3}}},
        "options",
        "The options of probe are an object",
    ),
    ({"family": "hybrid", "options": {"supervised_options": {"oracle": {}}}}, "options", "oracle"),
    ({"family": "hybrid", "options": {"anomaly": "oracle"}}, "options", "oracle"),
    ({"family": "patchcore", "augment": {"copies": 2}}, "augment", "nothing is allowed to change"),
    ({"family": "patchcore", "augment": {"synthetic_bad": 2}}, "augment", "learns from good parts alone"),
    ({"family": "patchcore", "augment": {"rotate": 2}}, "augment", "rotate"),
    (
        {"family": "patchcore", "preprocess": {"align": {"reference": "golden.png"}}},
        "preprocess",
        "golden.png",
    ),
    ({"family": "patchcore", "preprocess": {"zoom": 2}}, "preprocess", "zoom"),
]


@pytest.mark.parametrize(("asked", "field", "sentence"), REFUSED)
def test_what_cannot_be_trained_is_refused_with_its_field_and_nothing_starts(
    version, client, asked, field, sentence
):
    with pytest.raises(actions.RecipeError) as refused:
        actions.start_run(dataset_version=version, actor=TESTER, **asked)
    assert refused.value.field == field

    answer = client.post("/api/v1/runs/", {"dataset_version": version.pk, **asked}, "application/json")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid")
    assert answer.json()["detail"].startswith(f"{field}: ")
    assert sentence in answer.json()["detail"]
    assert not Run.objects.exists()


@pytest.mark.parametrize(("asked", "field", "sentence"), REFUSED)
def test_the_page_keeps_what_was_typed_where_it_is_refused(dataset, client, asked, field, sentence):
    typed = {name: value if name == "family" else json.dumps(value) for name, value in asked.items()}

    answer = client.post("/training/start/", {"dataset": dataset.pk, "seed": "7", **typed})

    page = answer.content.decode()
    assert answer.status_code == 400
    assert 'value="7"' in page
    for name, text in typed.items():
        assert name == "family" or text.replace('"', "&quot;") in page
    assert not DatasetVersion.objects.exists(), "nothing is frozen for a run that cannot start"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "This is not JSON: Expecting property name enclosed in double quotes in line 1, column 2."),
        ("[1]", "This is not an object of names and values"),
        ('{"rate": NaN}', "NaN is no number that JSON knows."),
    ],
)
def test_what_is_no_json_object_is_refused_with_a_sentence(dataset, client, text, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        read_json(text)

    page = client.post("/training/start/", {"dataset": dataset.pk, "options": text})

    assert page.status_code == 400
    assert sentence in page.content.decode()


def test_options_are_kept_as_numbers_and_the_candidate_says_all_that_were_used(version):
    run = actions.start_run(
        dataset_version=version, family="patchcore", options={"bank_size": "50"}, seed=3, actor=TESTER
    )

    candidate = actions.run_training(run=run, actor=TESTER)

    assert run.options == {"bank_size": 50}
    assert candidate.metrics["recipe"] == {
        "family": "patchcore",
        "seed": 3,
        "options": {"bank_size": 50, "view": "square", "input_px": 224, "mirrored": "no"},
        "augment": {},
        "preprocess": {},
    }


def test_a_preprocessing_names_pictures_of_the_version_by_hash_and_the_model_stands_behind_it(version):
    reference = version.images.order_by("sha256").first().sha256
    plan = {
        "region": {"inside": [{"rectangle": [12, 12, 40, 40]}]},
        "align": {"reference": reference, "by": {"inside": [{"rectangle": [0, 0, 64, 64]}]}},
    }
    run = actions.start_run(dataset_version=version, preprocess=plan, actor=TESTER)

    candidate = actions.run_training(run=run, actor=TESTER)

    run.refresh_from_db()
    assert (run.state, run.error) == ("finished", "")
    assert candidate.preprocessing["region"]["inside"] == [{"rectangle": [12, 12, 40, 40]}]
    assert candidate.metrics["recipe"]["preprocess"] == plan
    assert candidate.metrics["n_left_out"] == 0


def test_a_picture_that_cannot_be_aligned_is_held_and_counted(dataset, tmp_path):
    from PIL import Image as PillowImage

    blank = steps.folder_of(tmp_path / "blank", good=1)
    (blank / "train/good/000.png").unlink()
    for number in range(12):  # some of them are held out, some teach
        shade = (90 + number,) * 3
        PillowImage.new("RGB", (64, 64), shade).save(blank / f"train/good/{number}.png")
    labeling.actions.import_folder(dataset=dataset, folder=blank, actor=TESTER)
    version = labeling.actions.freeze_version(dataset=dataset, actor=TESTER)
    reference = version.images.get(imported__source_name="train/good/000.png").sha256
    run = actions.start_run(
        dataset_version=version, preprocess={"align": {"reference": reference}}, actor=TESTER
    )

    metrics = actions.run_training(run=run, actor=TESTER).metrics

    assert metrics["n_left_out"] + metrics["n_held_after"] == 12
    assert metrics["n_held_after"] > 0
    assert metrics["review_rate_after"]["k"] >= metrics["n_held_after"]


def test_the_same_run_twice_is_one_and_another_one_waits_its_turn(version, client):
    first = actions.start_run(dataset_version=version, options={"bank_size": 50}, actor=TESTER)

    assert actions.start_run(dataset_version=version, options={"bank_size": 50}, actor=TESTER) == first
    with pytest.raises(actions.RunGoesOnError, match=f"Run {first.pk} trains patchcore"):
        actions.start_run(dataset_version=version, options={"bank_size": 60}, actor=TESTER)
    answer = client.post("/api/v1/runs/", {"dataset_version": version.pk}, "application/json")

    assert (answer.status_code, answer.json()["error"]) == (409, "run_goes_on")


def test_rest_takes_what_the_pictures_allow_and_says_why(version, client):
    answer = client.post("/api/v1/runs/", {"dataset_version": version.pk}, "application/json").json()

    assert answer["family"] == "patchcore"
    assert "no bad one" in answer["why_family"]
    assert queries.queued_run(answer["id"]).options == {}


def test_the_page_says_before_the_start_which_family_it_will_be_and_what_it_lets_one_set(dataset, client):
    page = client.get("/training/").content.decode()
    assert "Auto takes <strong>PatchCore</strong>" in page
    assert "bank_size" in page

    address = f"/training/?fragment=recipe&dataset={dataset.pk}&family="
    assert "tile_px" in client.get(address + "unet").content.decode()
    assert (
        "None of the 0 bad pictures to learn from is painted yet."
        in client.get(address + "unet").content.decode()
    )
    assert client.get(address + "oracle").status_code == 200
    assert client.get("/training/?fragment=recipe&dataset=x").status_code == 200


def test_graded_bad_parts_turn_auto_into_hybrid(dataset, client):
    inspector = factories.inspector()
    station = dataset.line.stations.get()
    for seed in range(4):
        steps.graded_disc(station, seed=700 + seed, is_bad=True, group=f"t{seed}", inspector=inspector)

    answer = client.post("/training/start/", {"dataset": dataset.pk, "family": "auto"}, follow=True)

    run = Run.objects.get()
    assert (run.family, answer.status_code) == ("hybrid", 200)
    assert "Chosen by what the pictures allow" in answer.content.decode()
