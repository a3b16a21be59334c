"""Imported models: read as their manifest says, on our scale, and never a number where there is none."""

import json

import numpy as np
import pytest
from onnx import numpy_helper

from tests.vision.models.onnx_files import SIZE, brightness_classifier, fixed_answers, manifest_for
from vision.families import new_predictor
from vision.manifest import Manifest, ManifestError
from vision.models.imported import Imported
from vision.models.readings import WORST_CELLS, WORST_PIXELS
from vision.predictor import Example, NotFittedError, Predictor, State, no_progress

GREY = np.full((40, 60, 3), 100, np.uint8)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.float64(x)))


def imported(content, manifest):
    return Imported.from_onnx(content, Manifest.from_json(manifest), device="cpu")


def classifier(outputs=None, **changes):
    manifest = manifest_for(
        "classification",
        outputs or {"scores": "logits", "map": "map"},
        **({"activation": "softmax"} | changes),
    )
    return imported(brightness_classifier().SerializeToString(), manifest)


def plain(brightness, height=40, width=60):
    return np.full((height, width, 3), brightness, np.uint8)


def answer(outputs, task, names, image=GREY, **changes):
    """The prediction for a graph that always answers `outputs`."""
    shape = Manifest.from_json(manifest_for(task, names, **changes)).input.shape
    return imported(fixed_answers(outputs, shape=shape), manifest_for(task, names, **changes)).predict(
        [image]
    )[0]


def test_it_speaks_the_protocol():
    assert isinstance(classifier(), Predictor)


@pytest.mark.parametrize("brightness", [0, 51, 153, 255])
def test_a_classifiers_score_is_its_probability_of_bad(brightness):
    found = classifier().predict([plain(brightness)])[0]
    assert found.score == pytest.approx(sigmoid(8 * (brightness / 255 - 0.5)), abs=1e-6)
    assert found.defect == "scratch"


def test_a_class_activation_map_says_where_and_its_robust_maximum_is_the_score():
    image = plain(60, SIZE, SIZE)
    image[4:8, 20:24] = 255
    found = classifier().predict([image])[0]
    assert found.defect_map.shape == (SIZE, SIZE)
    assert np.sort(found.defect_map.ravel())[-WORST_CELLS:].mean() == pytest.approx(found.score, abs=1e-3)
    assert set(np.argwhere(found.defect_map > found.defect_map.min() + 0.01)[:, 0]) == {4, 5, 6, 7}


def test_a_classifier_without_a_map_blames_the_whole_image_alike():
    found = classifier({"scores": "logits"}).predict([plain(200)])[0]
    assert found.defect_map.shape == (1, 1)
    assert found.defect_map[0, 0] == np.float32(found.score)


def test_several_bad_classes_add_up_and_the_likeliest_is_named():
    classes = [{"name": n, "role": r} for n, r in (("dent", "bad"), ("ok", "good"), ("stain", "bad"))]
    found = answer(
        {"p": [[0.2, 0.5, 0.3]]}, "classification", {"scores": "p"}, classes=classes, activation="none"
    )
    assert (found.score, found.defect) == (pytest.approx(0.5), "stain")
    one_logit = answer(
        {"z": [[2.0]]}, "classification", {"scores": "z"}, classes=classes[:1], activation="sigmoid"
    )
    assert one_logit.score == pytest.approx(sigmoid(2))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_segmentations_score_is_the_robust_maximum_of_its_map(layout):
    probability = np.full((1, 2, 16, 16), 0.05)
    probability[0, 1, 3:7, 9:13] = 0.9
    probability[0, 0] = 1 - probability[0, 1]
    output = probability if layout == "nchw" else probability.transpose(0, 2, 3, 1)
    found = answer({"m": output}, "segmentation", {"map": "m"}, input={"layout": layout})
    assert found.score == pytest.approx(0.9, abs=1e-5)
    assert (found.defect, found.defect_map.shape) == ("scratch", (16, 16))
    assert np.sort(found.defect_map.ravel())[-WORST_PIXELS:].mean() == pytest.approx(found.score)
    assert (found.defect_map > 0.5).sum() == 16


def test_a_letterboxed_map_loses_its_padding():
    probability = np.full((1, 2, SIZE, SIZE), 0.5)
    probability[0, 1, : SIZE // 4] = 0.99  # in the padding above the image: nobody's pixels
    wide = plain(10, 20, 40)
    found = answer(
        {"m": probability},
        "segmentation",
        {"map": "m"},
        wide,
        activation="none",
        input={"resize": "letterbox"},
    )
    assert found.defect_map.shape == (SIZE // 2, SIZE)
    assert found.score == pytest.approx(0.5)


def detection(boxes, scores, image=GREY, classes=None, **changes):
    outputs = {"b": boxes, "s": scores} | ({} if classes is None else {"c": classes})
    names = {"boxes": "b", "scores": "s"} | ({} if classes is None else {"classes": "c"})
    kinds = [
        {"name": "nut", "role": "good"},
        {"name": "dent", "role": "bad"},
        {"name": "crack", "role": "bad"},
    ]
    return answer(outputs, "detection", names, image, classes=kinds, **changes)


def test_a_detections_score_is_its_strongest_bad_box_and_the_map_carries_it_there():
    boxes = [[[0, 0, 32, 32], [8, 16, 16, 24], [24, 0, 32, 8]]]
    scores = [[[0.99, 0, 0], [0, 0.2, 0.7], [0.1, 0.4, 0.1]]]
    found = detection(boxes, scores)
    assert (found.score, found.defect) == (pytest.approx(0.7), "crack")
    assert found.defect_map.shape == (8, 8)
    assert found.defect_map.max() == pytest.approx(0.7)
    assert found.defect_map[5, 3] == pytest.approx(0.7, abs=0.01)
    assert found.defect_map[0, 7] == pytest.approx(0.4, abs=0.01)
    assert found.defect_map[7, 0] == 0


@pytest.mark.parametrize(
    ("boxes", "changes"),
    [
        ([[[8, 16, 16, 24]]], {}),
        ([[[12, 20, 8, 8]]], {"box_format": "xywh"}),
        ([[[0.25, 0.5, 0.5, 0.75]]], {"box_unit": "fraction"}),
        ([[[0.375, 0.625, 0.25, 0.25]]], {"box_unit": "fraction", "box_format": "xywh"}),
    ],
)
def test_boxes_are_read_in_every_way_a_manifest_can_say(boxes, changes):
    found = detection(boxes, [[2.0]], classes=[[1]], activation="sigmoid", **changes)
    assert (found.score, found.defect) == (pytest.approx(sigmoid(2)), "dent")
    assert np.argwhere(found.defect_map > 0.6).min(axis=0).tolist() == [4, 2]
    assert np.argwhere(found.defect_map > 0.6).max(axis=0).tolist() == [5, 3]


def test_no_box_and_only_good_boxes_are_no_defect():
    none = detection(np.zeros((1, 0, 4)), np.zeros((1, 0, 3)))
    good = detection([[[0, 0, 9, 9]]], [[[1, 0, 0]]])
    assert none.score == good.score == pytest.approx(0.001)
    assert (none.defect_map.max(), none.defect) == (0, "")


def test_a_faint_box_below_the_threshold_is_still_the_score():
    found = detection([[[0, 0, 9, 9]]], [[[0, 0.02, 0]]], score_threshold=0.5)
    assert found.score == pytest.approx(0.02)
    assert found.defect_map.max() == pytest.approx(0.02)


def test_an_anomaly_score_in_its_own_unit_goes_through_the_two_points_of_the_manifest():
    changes = {"classes": None, "typical_good": 10, "limit_good": 30}
    for raw, probability in ((10, 0.1), (30, 0.5)):
        found = answer({"s": [raw]}, "anomaly", {"score": "s"}, **changes)
        assert found.score == pytest.approx(probability)
    heat = np.full((1, 1, 8, 8), 10.0)
    heat[0, 0, 2:6, 2:6] = 40
    found = answer({"m": heat}, "anomaly", {"map": "m"}, **changes)
    assert found.defect_map.max() == np.float32(found.score) > 0.7
    assert found.defect_map.min() == pytest.approx(0.1)


NOT_A_NUMBER = [np.nan, np.inf, -np.inf]


@pytest.mark.parametrize("wrong", NOT_A_NUMBER)
def test_numbers_that_break_on_the_line_give_nan_and_never_a_pass(wrong):
    predictor = classifier()
    raw = (np.zeros((1, 2, 4, 4), np.float32), np.array([[0, wrong]], np.float32))
    order = list(predictor._known().outputs)
    raw = tuple(raw[0] if name == "map" else raw[1] for name in order)
    assert np.isnan(predictor.finish(raw, height=4, width=4).score)


@pytest.mark.parametrize("value", [*NOT_A_NUMBER, 1.5, -0.5])
def test_a_graph_that_answers_no_probability_is_refused_at_import(value):
    for outputs, task, names in (
        ({"s": [[0.1, value]]}, "classification", {"scores": "s"}),
        ({"m": np.full((1, 2, 4, 4), value)}, "segmentation", {"map": "m"}),
        ({"s": [value]}, "anomaly", {"score": "s"}),
        ({"b": [[[0, 0, 1, 1]]], "s": [[[0, value]]]}, "detection", {"boxes": "b", "scores": "s"}),
    ):
        with pytest.raises(ValueError, match=r"hold NaN|not finite, or no probability"):
            answer(outputs, task, names, activation="none")


@pytest.mark.parametrize(
    ("outputs", "task", "names", "reason"),
    [
        ({"s": [[0, 1, 2]]}, "classification", {"scores": "s"}, "names 2 classes"),
        ({"m": np.zeros((1, 3, 4, 4))}, "segmentation", {"map": "m"}, "should hold 2 map"),
        ({"m": np.zeros((4, 4))}, "anomaly", {"map": "m"}, "should hold 1 map"),
        ({"s": [1, 2]}, "anomaly", {"score": "s"}, "one number"),
        (
            {"b": np.zeros((1, 5, 3)), "s": np.zeros((1, 5))},
            "detection",
            {"boxes": "b", "scores": "s"},
            "1xKx4",
        ),
        (
            {"b": np.zeros((1, 5, 4)), "s": np.zeros((1, 5))},
            "detection",
            {"boxes": "b", "scores": "s"},
            "2 scores",
        ),
        (
            {"b": np.zeros((1, 1, 4)), "s": [[0.5]], "c": [[7]]},
            "detection",
            {"boxes": "b", "scores": "s", "classes": "c"},
            "a class 0 to 1",
        ),
    ],
)
def test_outputs_of_another_shape_are_refused_at_import(outputs, task, names, reason):
    activation = "softmax" if task == "classification" else "sigmoid"
    with pytest.raises(ValueError, match=reason):
        answer(outputs, task, names, activation=activation)


def test_a_manifest_of_another_task_is_refused():
    with pytest.raises(ManifestError, match="not yolo"):
        imported(b"", manifest_for("yolo", {"head": "h"}))


def test_colour_and_normalisation_are_the_manifests():
    image = plain(0)
    image[..., 0], image[..., 1], image[..., 2] = 255, 0, 51
    normal = {"scale": 1 / 255, "mean": [0.5, 0.25, 0.0], "std": [0.5, 0.5, 0.1]}
    for colour, expected in (("rgb", [1.0, -0.5, 2.0]), ("bgr", [-0.6, -0.5, 10.0])):
        tiles = classifier(input={"colour": colour, **normal}).prepare(image)
        assert tiles.shape == (1, 3, SIZE, SIZE)
        assert np.allclose(tiles[0, :, 0, 0], expected, atol=1e-5)
    grey = imported(
        fixed_answers({"s": [[0, 0]]}, shape=(1, 1, SIZE, SIZE)),
        manifest_for(
            "classification", {"scores": "s"}, activation="softmax", input={"colour": "grey", "scale": 1}
        ),
    )
    assert np.allclose(grey.prepare(image), round(0.299 * 255 + 0.114 * 51))


def test_the_other_images_of_a_batch_change_nothing():
    predictor, images = classifier(), [plain(b, 20 + b, 30) for b in (10, 100, 200)]
    together = predictor.predict(images)
    assert [each.score for each in together] == [predictor.predict([image])[0].score for image in images]
    assert predictor.predict([]) == []


def graded(count, seed=0):
    """Bad parts are a little brighter."""
    rng = np.random.default_rng(seed)
    good = [Example(plain(int(rng.integers(90, 125))), is_bad=False) for _ in range(count)]
    return good + [Example(plain(int(rng.integers(115, 150))), is_bad=True) for _ in range(count)]


def test_calibrating_puts_it_on_our_scale_and_keeps_the_order():
    predictor = classifier()
    images = [plain(b) for b in (0, 60, 119, 130, 200)]
    before = [each.score for each in predictor.predict(images)]
    predictor.calibrate(graded(30))
    after = [each.score for each in predictor.predict(images)]
    assert after == sorted(after)
    assert after[0] < 0.01
    assert after[-1] > 0.99
    assert before != after
    assert predictor.state().metadata["calibration"]["method"] == "platt"


def test_calibrating_on_too_little_or_the_wrong_way_round_is_refused_and_changes_nothing():
    predictor = classifier()
    upside_down = [Example(e.pixels, is_bad=not e.is_bad) for e in graded(30)]
    before = predictor.state().metadata
    for examples in (graded(3), graded(30)[:30], upside_down):
        with pytest.raises(ValueError, match=r"at least 10 good and 10 bad|no rising line"):
            predictor.calibrate(examples)
    assert predictor.state().metadata == before


def test_an_anomaly_model_is_calibrated_on_good_parts_alone():
    content = fixed_answers({"s": [1.0]}, times_brightness=True)
    predictor = imported(
        content, manifest_for("anomaly", {"score": "s"}, classes=None, typical_good=5, limit_good=9)
    )
    predictor.calibrate([Example(plain(b), is_bad=False) for b in range(90, 125)])
    typical, wild = predictor.predict([plain(107), plain(255)])
    assert typical.score == pytest.approx(0.1, abs=0.01)
    assert wild.score > 0.9


def test_it_is_not_fitted_and_says_what_to_do():
    with pytest.raises(ValueError, match="is imported, not fitted: use import_model"):
        new_predictor("onnx", device="cpu").fit(graded(5), seed=0, progress=no_progress)


def test_before_an_import_it_refuses():
    empty = new_predictor("onnx", device="cpu")
    for ask in (lambda: empty.predict([GREY]), empty.state, lambda: empty.calibrate(graded(10))):
        with pytest.raises(NotFittedError):
            ask()
    with pytest.raises(ValueError, match="no option"):
        new_predictor("onnx", device="cpu", options={"epochs": 3})


def test_its_state_gives_the_same_bits_again():
    predictor = classifier()
    predictor.calibrate(graded(30))
    tensors, metadata = predictor.state()
    again = Imported.from_state(State(tensors, json.loads(json.dumps(metadata))), device="cpu")
    image = np.random.default_rng(3).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    one, other = predictor.predict([image])[0], again.predict([image])[0]
    assert one.score == other.score
    assert np.array_equal(one.defect_map, other.defect_map)
    assert again.preprocessing == predictor.preprocessing


def nan_inside():
    model = brightness_classifier()
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.array([np.nan], np.float32), "channel_axis")
    )
    return np.frombuffer(model.SerializeToString(), np.uint8)


@pytest.mark.parametrize(
    ("where", "value", "reason"),
    [
        ("onnx", None, "holds no ONNX file"),
        ("onnx", np.zeros(9, np.float32), "holds no ONNX file"),
        ("onnx", np.zeros(9, np.uint8), "of another kind"),
        ("onnx", nan_inside(), "NaN"),
        ("manifest", None, "not whole"),
        ("manifest.task", "oracle", "task must be"),
        ("manifest.input.height", 64, "the graph says"),
        ("calibration", None, "not whole"),
        ("calibration.slope", float("nan"), "must rise"),
        ("calibration.slope", -1.0, "must rise"),
    ],
)
def test_a_state_that_is_not_whole_is_refused(where, value, reason):
    tensors, metadata = classifier().state()
    metadata = json.loads(json.dumps(metadata))
    *path, last = where.split(".")
    inner = dict(tensors) if where == "onnx" else metadata
    tensors = inner if where == "onnx" else tensors
    for name in path:
        inner = inner[name]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    with pytest.raises(ValueError, match=reason):
        Imported.from_state(State(tensors, metadata), device="cpu")


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (0, 10, 3)])
def test_an_array_that_is_no_rgb_image_is_refused(shape):
    with pytest.raises(ValueError, match="HxWx3"):
        classifier().predict([np.zeros(shape, np.uint8)])
