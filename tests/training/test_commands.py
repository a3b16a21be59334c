import csv
import io
import json

import pytest
from django.core.management import CommandError, call_command

from tests.labeling import steps


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
