"""Importing a model by command: kept by name like a fitted one, or refused with a sentence."""

import io
import json
import pickle

import cv2
import numpy as np
import pytest
from django.core.management import CommandError, call_command

from tests.vision.models.onnx_files import SIZE, brightness_classifier, fixed_answers, manifest_for
from training import named


@pytest.fixture(autouse=True)
def _own_data_dir(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "data"


def called(name, *arguments, **options) -> dict:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out, **options)
    return json.loads(out.getvalue().strip().splitlines()[-1])


def files(folder, content=None, manifest=None):
    """(the ONNX file, its manifest); without more a classifier that finds bright parts bad."""
    content = brightness_classifier().SerializeToString() if content is None else content
    if manifest is None:
        manifest = manifest_for("classification", {"scores": "logits", "map": "map"}, activation="softmax")
    (folder / "model.onnx").write_bytes(content)
    (folder / "manifest.json").write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    return folder / "model.onnx", folder / "manifest.json"


def folder_of(folder, good, bad):
    """Plain parts in MVTec layout; bad ones are brighter."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name, count, low in (("good", good, 60), ("glare", bad, 110)):
            for number in range(count):
                path = folder / split / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), np.full((20, 30, 3), rng.integers(low, low + 60), np.uint8))
    return folder


def test_an_imported_model_is_kept_by_name_and_evaluated_like_a_fitted_one(tmp_path):
    file, manifest = files(tmp_path)
    images = folder_of(tmp_path / "images", good=12, bad=12)

    known = called("import_model", file, manifest=manifest, out="bright", calibrate=images)
    figures = called("evaluate_model", "bright", images=images)

    assert (known["family"], known["n_calibrating"]) == ("onnx", 24)
    assert known["calibration"]["method"] == "platt"
    assert known["calibration"]["reliability"]
    assert figures["image_auroc"] > 0.8
    loaded, again = named.load("bright")
    assert again["sha256"] == known["sha256"]
    assert loaded.predict([np.full((9, 9, 3), 250, np.uint8)])[0].score > 0.9


def test_a_yolo_file_is_known_by_its_manifest(tmp_path):
    head = np.array([[[10, 10, 4, 4, 0.5, 0.8, 0.1]]], np.float32)
    known = called(
        "import_model",
        files(tmp_path, fixed_answers({"o": head}), manifest_for("yolo", {"head": "o"}))[0],
        manifest=tmp_path / "manifest.json",
        out="boxes",
    )
    assert (known["family"], known["preprocessing"]["resize"]) == ("yolo", "linear, letterbox")
    assert named.load("boxes")[0].predict([np.zeros((9, 9, 3), np.uint8)])[0].score == pytest.approx(0.05)


CUT = brightness_classifier().SerializeToString()[:200]


@pytest.mark.parametrize(
    ("content", "manifest", "reason"),
    [
        (CUT, None, "cut short"),
        (b"", None, "of another kind"),
        (pickle.dumps({"weights": 1}), None, "pickle"),
        (None, "{task: classification", "is not JSON"),
        (None, [], "must be a JSON object"),
        (None, manifest_for("segmentation", {"map": "m"}, activation="softmax"), "names the output 'm'"),
        (
            None,
            manifest_for(
                "classification", {"scores": "logits"}, activation="softmax", input={"height": 2 * SIZE}
            ),
            "the graph says",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence_and_nothing_is_kept(
    tmp_path, content, manifest, reason
):
    file, manifest_file = files(tmp_path, content, manifest)
    with pytest.raises(CommandError, match=reason):
        called("import_model", file, manifest=manifest_file, out="x")
    assert not named.path_of("x").exists()


def test_a_missing_file_a_bad_name_and_too_few_parts_are_sentences(tmp_path):
    file, manifest = files(tmp_path)
    with pytest.raises(CommandError, match="No such file"):
        called("import_model", tmp_path / "none.onnx", manifest=manifest, out="x")
    with pytest.raises(CommandError, match="A model name"):
        called("import_model", file, manifest=manifest, out="../x")
    with pytest.raises(CommandError, match="at least 10 good and 10 bad"):
        called(
            "import_model",
            file,
            manifest=manifest,
            out="x",
            calibrate=folder_of(tmp_path / "few", good=3, bad=2),
        )


@pytest.mark.parametrize("family", ["onnx", "yolo"])
def test_fitting_an_imported_family_says_what_to_do(tmp_path, family):
    with pytest.raises(CommandError, match="use import_model"):
        called("fit_model", images=folder_of(tmp_path / "f", good=3, bad=0), family=family, out="x")
