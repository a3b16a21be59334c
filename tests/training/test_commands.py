import csv
import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.labeling import steps
from training import named
from vision import model_file


def called(name, *arguments, **options) -> dict:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out, **options)
    return json.loads(out.getvalue().strip().splitlines()[-1])


@pytest.fixture(autouse=True)
def _own_data_dir(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "data"


def test_a_model_is_fitted_by_name_and_evaluated(tmp_path):
    folder = steps.folder_of(tmp_path / "discs", good=10, test_good=5, test_bad=4)
    mask_folder = folder / "ground_truth" / "scratch"
    mask_folder.mkdir(parents=True)
    for picture in (folder / "test" / "scratch").iterdir():
        mask_folder.joinpath(f"{picture.stem}_mask.png").write_bytes(
            steps.scratch_mask(2000 + int(picture.stem))
        )

    fitted = called("fit_model", images=folder, family="patchcore", out="discs")
    figures = called("evaluate_model", "discs", images=folder, scores=tmp_path / "scores.csv")

    assert (fitted["n_good"], fitted["family"]) == (10, "patchcore")
    assert figures["image_auroc"] >= 0.9
    assert figures["pixel_auroc"] > 0.7
    assert 0 < figures["aupro"] <= 1
    assert figures["per_defect_auroc"] == {"scratch": {"auroc": figures["image_auroc"], "n": 4}}
    assert figures["fit_s"] == fitted["fit_s"] > 0
    assert 0 < figures["ms_per_image"]["p50"] <= figures["ms_per_image"]["p99"]
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["truth"] for row in rows] == ["good"] * 5 + ["bad"] * 4
    assert all(0 <= float(row["score"]) <= 1 for row in rows)


def test_a_folder_that_is_not_in_mvtec_layout_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(CommandError, match="train/good"):
        called("fit_model", images=tmp_path, family="patchcore", out="x")


def test_an_unknown_model_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(CommandError, match="No model is called 'nobody'"):
        called("evaluate_model", "nobody", images=steps.folder_of(tmp_path, good=1))


@pytest.mark.parametrize("name", ["../escape", "", ".hidden", "a/b"])
def test_a_model_name_never_leaves_its_folder(tmp_path, name):
    with pytest.raises(CommandError, match="A model name"):
        called("fit_model", images=tmp_path, family="patchcore", out=name)


def written(path, plan) -> Path:
    path.write_text(json.dumps(plan), encoding="utf-8")
    return path


FLIPS = {"copies": 1, "allowed": {"flip_horizontal": True, "flip_vertical": True}}


def test_a_plan_adds_copies_to_what_is_learned_and_the_figures_still_count_photographs(tmp_path):
    folder = steps.folder_of(tmp_path / "discs", good=44)
    plain = called("fit_model", images=folder, family="patchcore", out="plain")
    grown = called(
        "fit_model", images=folder, family="patchcore", out="grown", augment=written(tmp_path / "p", FLIPS)
    )

    assert grown["augment"]["copies"] == 1
    assert plain["augment"] is None
    assert (grown["n_good"], grown["n_calibrating"]) == (plain["n_good"], plain["n_calibrating"])
    assert grown["n_calibrating"] >= 10
    assert grown["sha256"] != plain["sha256"]


@pytest.mark.parametrize(
    ("good", "plan", "sentence"),
    [
        (12, FLIPS, "Too few good parts of their own groups"),
        (12, {"synthetic_bad": 5}, "patchcore learns from good parts alone"),
        (1, {"copies": 3}, "is no augmentation plan: Copies are asked for, but nothing is allowed"),
        (1, ["copies"], "is no augmentation plan: An augmentation plan is an object"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_with_a_sentence(tmp_path, good, plan, sentence):
    folder = steps.folder_of(tmp_path / "discs", good=good)
    with pytest.raises(CommandError, match=sentence):
        called("fit_model", images=folder, family="patchcore", out="x", augment=written(tmp_path / "p", plan))


def test_a_plan_file_that_is_no_json_is_refused_with_a_sentence(tmp_path):
    file = tmp_path / "plan.json"
    file.write_text("copies: 3", encoding="utf-8")
    with pytest.raises(CommandError, match="is no augmentation plan"):
        called("fit_model", images=tmp_path, family="patchcore", out="x", augment=file)


def behind_a_region(path) -> Path:
    """A plan that looks at the middle of the discs, aligned by their outline."""
    (path.parent / "golden.png").write_bytes(steps.disc(1))
    plan = {
        "region": {"inside": [{"rectangle": [12, 12, 40, 40]}]},
        "align": {"reference": "golden.png", "by": {"inside": [{"rectangle": [0, 0, 64, 64]}]}},
    }
    return written(path, plan)


def test_a_model_is_fitted_behind_a_preprocessing_and_evaluated_on_photographs(tmp_path):
    folder = steps.folder_of(tmp_path / "discs", good=44, test_good=5, test_bad=4)
    blank = steps.PillowImage.new("RGB", (64, 64), (90, 90, 90))
    blank.save(folder / "train" / "good" / "blank.png")
    blank.save(folder / "test" / "good" / "blank.png")

    fitted = called("fit_model", images=folder, out="placed", preprocess=behind_a_region(tmp_path / "p.json"))
    figures = called("evaluate_model", "placed", images=folder)
    predictor, known = named.load("placed")
    opened = model_file.open_model(named.path_of("placed"), expected_sha256=known["sha256"], device="cpu")

    assert (fitted["family"], fitted["n_left_out"]) == ("patchcore", 1)
    assert fitted["n_good"] + fitted["n_calibrating"] == 44
    assert fitted["preprocessing"]["region"]["inside"] == [{"rectangle": [12, 12, 40, 40]}]
    assert predictor.preprocessing == known["preprocessing"]
    assert (figures["n_good"], figures["n_bad"], figures["n_held"]) == (5, 4, 1)
    assert figures["image_auroc"] >= 0.9
    # Its references are photographs, which it aligns itself.
    assert len(opened.references) > 0
    again = predictor.predict([reference.image for reference in opened.references])
    assert [look.score for look in again] == [reference.score for reference in opened.references]


def test_a_folder_of_which_nothing_can_be_aligned_is_refused_with_a_sentence(tmp_path):
    folder = steps.folder_of(tmp_path / "discs", good=10, test_good=1)
    called("fit_model", images=folder, out="placed", preprocess=behind_a_region(tmp_path / "p.json"))
    blank = steps.PillowImage.new("RGB", (64, 64), (90, 90, 90))
    for picture in (folder / "test" / "good").iterdir():
        blank.save(picture)
    with pytest.raises(
        CommandError, match=r"None of the 1 pictures could be judged\. The picture shows nothing"
    ):
        called("evaluate_model", "placed", images=folder)


def test_a_preprocessing_that_is_none_is_refused_with_a_sentence(tmp_path):
    plan = written(tmp_path / "p.json", {"align": {"reference": "gone.png"}})
    with pytest.raises(CommandError, match=r"gone\.png"):
        called("fit_model", images=tmp_path, out="x", preprocess=plan)
    with pytest.raises(CommandError, match="is no preprocessing"):
        called("fit_model", images=tmp_path, out="x", preprocess=written(tmp_path / "q.json", {}))
