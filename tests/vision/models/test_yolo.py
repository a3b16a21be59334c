"""YOLO heads: known boxes go in through a file made here, and come out where they were."""

import numpy as np
import pytest

from tests.vision.models.onnx_files import SIZE, fixed_answers, manifest_for
from vision.families import new_predictor
from vision.manifest import Manifest
from vision.models.yolo import Yolo, decode_head
from vision.predictor import no_progress

CLASSES = [
    {"name": "dent", "role": "bad"},
    {"name": "screw", "role": "good"},
    {"name": "crack", "role": "bad"},
]
WIDE = np.full(
    (50, 100, 3), 90, np.uint8
)  # letterboxed into 32x32: 16 rows of image, 8 of padding on each side


def manifest(**changes):
    return manifest_for("yolo", {"head": "output0"}, **({"classes": CLASSES} | changes))


def head_of(rows, kind):
    """Rows of (x, y, width, height, scores by class) as the network of this kind gives them, in input pixels."""
    if kind == "v8":
        return np.array(rows, np.float32).T[None]
    return np.array([[*row[:4], 0.5, *(2 * score for score in row[4:])] for row in rows], np.float32)[None]


def predictor_of(rows, kind, **changes):
    content = fixed_answers({"output0": head_of(rows, kind)})
    return Yolo.from_onnx(content, Manifest.from_json(manifest(**changes)), device="cpu")


ROWS = [
    (8, 12, 8, 4, 0.1, 0.0, 0.45),  # a crack in the upper left of the image
    (8.5, 12, 8, 4, 0.0, 0.0, 0.4),  # the same crack again
    (8, 12, 8, 4, 0.3, 0.0, 0.0),  # a dent at the same place
    (24, 20, 4, 4, 0.0, 0.49, 0.2),  # most likely a screw, perhaps a crack
    (2, 2, 2, 2, 0.0, 0.0, 0.01),  # noise in the padding
]


@pytest.mark.parametrize("kind", ["v5", "v8"])
def test_both_heads_say_the_same(kind):
    found = predictor_of(ROWS, kind).predict([WIDE])[0]
    assert found.score == pytest.approx(0.45, abs=1e-6)
    assert found.defect == "crack"
    assert found.defect_map.shape == (4, 8)  # 16x32 input pixels in cells of 4
    assert found.defect_map.max() == np.float32(found.score)
    strong = np.argwhere(found.defect_map > 0.4)
    assert (strong.min(axis=0).tolist(), strong.max(axis=0).tolist()) == ([1, 1], [1, 2])
    assert found.defect_map[3, 6] == pytest.approx(0.2, abs=0.11)
    assert found.defect_map[2:, :3].max() == 0


@pytest.mark.parametrize("kind", ["v5", "v8"])
def test_boxes_come_back_to_the_pixels_they_were_found_at(kind):
    """For pictures of many sizes: a box drawn in the picture, carried into the input and back, is the same box."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        height, width = rng.integers(20, 400, 2)
        ratio = min(SIZE / height, SIZE / width)
        inner = np.array([max(1, round(width * ratio)), max(1, round(height * ratio))])
        corner = (SIZE - inner) // 2
        one, other = np.sort(rng.random((2, 2)), axis=0)  # fractions of the picture
        in_input = np.r_[corner + one * inner, corner + other * inner]
        row = (*(in_input[:2] + in_input[2:]) / 2, *(in_input[2:] - in_input[:2]), 0.4, 0.1, 0.1)
        boxes, scores = decode_head(
            head_of([row], kind).astype(float), Manifest.from_json(manifest(head=kind))
        )
        reading = predictor_of([row], kind)._read(
            (head_of([row], kind),), height=int(height), width=int(width)
        )
        assert np.allclose(boxes[0], in_input, atol=1e-4)
        assert np.allclose(scores[0], [0.4, 0.1, 0.1])
        assert np.allclose(reading.boxes[0], [*one, *other], atol=1e-5)


def test_doubles_are_suppressed_within_a_class_only():
    predictor = predictor_of(ROWS, "v8")
    reading = predictor._read((head_of(ROWS, "v8"),), height=50, width=100)
    names = [round(float(1 / (1 + np.exp(-each))), 2) for each in reading.box_evidence]
    assert names == [0.45, 0.3, 0.2]


def test_thousands_of_candidates_are_as_good_as_a_few():
    rng = np.random.default_rng(1)
    noise = np.c_[rng.uniform(0, 32, (8400, 2)), rng.uniform(1, 9, (8400, 2)), rng.uniform(0, 0.3, (8400, 3))]
    noise[777, 4] = 0.93
    found = predictor_of(noise, "v8").predict([WIDE])[0]
    assert (found.score, found.defect) == (pytest.approx(0.93), "dent")


def test_an_empty_scene_is_nearly_no_chance_of_bad():
    found = predictor_of([(4, 4, 2, 2, 0, 0.9, 0)] * 3, "v8").predict([WIDE])[0]
    assert found.score <= 0.001


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 3, 4, 6])
def test_one_broken_number_in_the_head_gives_nan(wrong, place):
    rows = [list(row) for row in ROWS]
    rows[4][place] = wrong
    found = predictor_of(ROWS, "v8").finish((head_of(rows, "v8"),), height=50, width=100)
    assert np.isnan(found.score)


def test_a_head_that_may_be_read_both_ways_needs_a_word():
    rows = np.zeros((8, 7))  # 8 boxes of 4 + 3 for v8; read as v5: 5 + 3 numbers a row
    content = fixed_answers({"output0": rows.T[None]})
    with pytest.raises(ValueError, match='say "head"'):
        Yolo.from_onnx(content, Manifest.from_json(manifest()), device="cpu")
    assert Yolo.from_onnx(content, Manifest.from_json(manifest(head="v8")), device="cpu")


@pytest.mark.parametrize("changes", [{"classes": CLASSES[:2]}, {"head": "v5"}])
def test_a_head_of_another_shape_is_refused_at_import(changes):
    with pytest.raises(ValueError, match="has the shape"):
        predictor_of(ROWS, "v8", **changes)


def test_a_head_with_scores_before_their_sigmoid_is_refused_at_import():
    with pytest.raises(ValueError, match="no probability"):
        predictor_of([(4, 4, 2, 2, -3.0, 5.0, 2.0)], "v8")


def test_it_is_not_fitted():
    with pytest.raises(ValueError, match="'yolo' is imported, not fitted"):
        new_predictor("yolo", device="cpu").fit([], seed=0, progress=no_progress)


def test_its_state_gives_the_same_bits_again():
    predictor = predictor_of(ROWS, "v5")
    again = Yolo.from_state(predictor.state(), device="cpu")
    one, other = predictor.predict([WIDE])[0], again.predict([WIDE])[0]
    assert (one.score, one.defect) == (other.score, other.defect)
    assert np.array_equal(one.defect_map, other.defect_map)
