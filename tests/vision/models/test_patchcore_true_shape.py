"""PatchCore's view of a part in its true shape."""

import numpy as np
import pytest

from tests.vision.conftest import examples_of
from vision.families import new_predictor
from vision.models.canvas import Canvas
from vision.models.patchcore import PatchCore
from vision.predictor import NotFittedError, State, no_progress

OPTIONS = {"view": "true_shape", "input_px": 96, "bank_size": 200}


@pytest.fixture(scope="module")
def fitted_true(good_parts):
    predictor = new_predictor("patchcore", device="cpu", options=OPTIONS)
    shapes = [image[: 300 + 20 * number] for number, image in enumerate(good_parts[:8])]
    predictor.fit(examples_of(shapes), seed=0, progress=no_progress)
    return predictor


def test_the_map_covers_the_image_and_no_more(fitted_true, good_parts):
    whole, half = fitted_true.predict([good_parts[0], good_parts[0][:, :256]])
    canvas = Canvas.from_json(fitted_true.preprocessing["canvas"])
    assert whole.defect_map.shape == canvas.cells(height=512, width=512)
    assert half.defect_map.shape == canvas.cells(height=512, width=256)
    for prediction in (whole, half):
        worst = np.sort(prediction.defect_map.ravel().astype(np.float64))[-3:]
        assert worst[0] - 1e-6 <= prediction.score <= worst[-1] + 1e-6


def test_the_light_does_not_change_the_score_much(fitted_true, good_parts):
    dimmed = (good_parts[0] // 2).astype(np.uint8)
    first, second = fitted_true.predict([good_parts[0], dimmed])
    assert abs(first.score - second.score) < 0.1


def test_a_kept_model_answers_the_same_bits(fitted_true, good_parts, bad_parts):
    again = PatchCore.from_state(fitted_true.state(), device="cpu")
    images = [*good_parts[:2], *bad_parts[:2]]
    for ours, theirs in zip(fitted_true.predict(images), again.predict(images), strict=True):
        assert ours.score == theirs.score
        assert np.array_equal(ours.defect_map, theirs.defect_map)
    assert again.preprocessing == fitted_true.preprocessing


def test_images_of_any_size_are_scored(fitted_true):
    for shape in ((1, 1, 3), (37, 500, 3), (700, 20, 3)):
        assert np.isfinite(fitted_true.predict([np.full(shape, 128, np.uint8)])[0].score)


def test_a_bank_of_the_other_view_is_refused(fitted_true):
    tensors, metadata = fitted_true.state()
    narrow = {**tensors, "bank": np.zeros((5, 152), np.float32)}
    with pytest.raises(ValueError, match="384 numbers"):
        PatchCore.from_state(State(narrow, metadata), device="cpu")


def test_before_fitting_it_refuses(good_parts):
    with pytest.raises(NotFittedError):
        new_predictor("patchcore", device="cpu", options=OPTIONS).predict(good_parts[:1])


@pytest.mark.parametrize(
    "options", [{"view": "round"}, {"view": "true_shape", "input_px": 8}, {"view": "square", "input_px": 300}]
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match=r"view|input_px"):
        new_predictor("patchcore", device="cpu", options=options)
