"""The manifest of an imported model: every field means something, and nonsense is said to be nonsense."""

import json

import pytest

from tests.vision.models.onnx_files import manifest_for
from vision.manifest import Manifest, ManifestError


@pytest.mark.parametrize(
    "given",
    [
        manifest_for("classification", {"scores": "s", "map": "m"}, activation="softmax"),
        manifest_for("segmentation", {"map": "m"}, activation="sigmoid", input={"layout": "nhwc"}),
        manifest_for("detection", {"boxes": "b", "scores": "s", "classes": "c"}, box_format="xywh"),
        manifest_for("anomaly", {"score": "s"}, classes=None, typical_good=1, limit_good=2),
        manifest_for("yolo", {"head": "h"}, head="v8", input={"mean": [0.4, 0.5, 0.6], "colour": "bgr"}),
    ],
)
def test_a_manifest_comes_back_from_json_as_it_was(given):
    read = Manifest.from_json(given)
    assert Manifest.from_json(json.loads(json.dumps(read.as_json(), sort_keys=True))) == read


def test_yolo_files_are_letterboxed_and_others_stretched_unless_told_otherwise():
    yolo = Manifest.from_json(manifest_for("yolo", {"head": "h"})).input
    other = Manifest.from_json(manifest_for("segmentation", {"map": "m"}, activation="sigmoid")).input
    assert (yolo.resize, yolo.pad_value, yolo.scale, yolo.colour) == ("letterbox", 114, 1 / 255, "rgb")
    assert other.resize == "stretch"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": "oracle"}, "task must be one of"),
        ({"outputs": {}}, "lacks 'scores'"),
        ({"outputs": {"scores": "s", "magic": "m"}}, "mean nothing: magic"),
        ({"colour": "rgb"}, "mean nothing: colour"),
        ({"classes": None}, "needs its classes"),
        ({"classes": "good, bad"}, "a list of objects"),
        ({"classes": [{"name": "good", "role": "good"}]}, "no part could ever be bad"),
        (
            {"classes": [{"name": "a", "role": "bad"}, {"name": "b", "role": "bad"}]},
            "every part would be bad",
        ),
        ({"classes": [{"name": "a", "role": "ugly"}]}, "role must be one of"),
        ({"input": {"height": 0}}, "whole pixels"),
        ({"input": {"height": True}}, "whole pixels"),
        ({"input": {"width": 100_000}}, "whole pixels"),
        ({"input": {"layout": "chwn"}}, "layout must be one of"),
        ({"input": {"mean": [0.5, 0.5]}}, "mean has 2 numbers"),
        ({"input": {"std": [0]}}, "above 0"),
        ({"input": {"std": [float("nan")]}}, "list of numbers"),
        ({"input": {"scale": float("inf")}}, "scale must be a number"),
        ({"activation": "relu"}, "activation must be one of"),
        ({"iou_threshold": 2}, "from 0 to 1"),
        ({"typical_good": 1}, "belong together"),
        ({"typical_good": 1, "limit_good": 2}, "are for anomaly"),
        ({"outputs": {"scores": "s", "map": "m"}, "activation": "none"}, "needs softmax"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(changes, reason):
    given = manifest_for("classification", {"scores": "s"}, **({"activation": "softmax"} | changes))
    with pytest.raises(ManifestError, match=reason):
        Manifest.from_json(given)


@pytest.mark.parametrize("given", [[], "task", None, 3])
def test_what_is_no_object_is_refused(given):
    with pytest.raises(ManifestError, match="must be a JSON object"):
        Manifest.from_json(given)


def test_an_anomaly_score_rises_with_the_defect():
    given = manifest_for("anomaly", {"score": "s"}, classes=None, typical_good=2, limit_good=1)
    with pytest.raises(ManifestError, match="limit_good must lie above"):
        Manifest.from_json(given)
