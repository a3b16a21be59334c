"""PatchCore's view of a part in its true shape."""

import numpy as np
import pytest
import torch

from tests.vision.conftest import examples_of
from vision.families import new_predictor
from vision.models.backbone import load_backbone
from vision.models.canvas import CELL_PX, Canvas
from vision.models.patch_views import DeepPatches
from vision.models.patchcore import PatchCore
from vision.predictor import NotFittedError, State, no_progress
from vision.runtime.export import parity, to_onnx
from vision.runtime.onnx_engine import OnnxEngine
from vision.synthetic import render_part

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


def test_a_cell_at_the_images_edge_is_averaged_over_the_image_alone():
    seen = DeepPatches(load_backbone(weights_folder=None, device="cpu"))
    picture = render_part(np.random.default_rng(3))[0][:250, :380]
    canvases = [Canvas(height=height, width=width, scale=0.25) for height, width in ((64, 96), (128, 160))]
    rows, columns = canvases[0].cells(height=250, width=380)
    assert (rows * CELL_PX, columns * CELL_PX) == (
        64,
        96,
    )  # it fills the small canvas, and a part of the large one
    with torch.inference_mode():
        filled, beside = (
            seen(torch.from_numpy(canvas.lay(picture)))[0, :rows, :columns] for canvas in canvases
        )
    # The convolutions themselves still see what lies beside the picture; averages over it would add as much again.
    apart = (filled - beside).norm(dim=-1) / filled.norm(dim=-1)
    assert apart.max() < 0.45


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


@pytest.mark.parametrize("view", [{}, OPTIONS])
def test_a_mirrored_good_part_is_no_stranger_to_a_model_that_was_told_so(good_parts, view):
    told = new_predictor("patchcore", device="cpu", options={**view, "mirrored": "left_right"})
    untold = new_predictor("patchcore", device="cpu", options=view)
    for predictor in (told, untold):
        predictor.fit(examples_of(good_parts[:6]), seed=0, progress=no_progress)
    lying_otherwise = np.ascontiguousarray(good_parts[0][:, ::-1])
    known, strange = (
        float(predictor.engine.run([predictor.prepare(lying_otherwise)])[0][0].mean())
        for predictor in (told, untold)
    )
    assert known < 0.9 * strange


@pytest.mark.parametrize(
    "options",
    [
        {"mirrored": "diagonal"},
        {"view": "round"},
        {"view": "true_shape", "input_px": 8},
        {"view": "square", "input_px": 300},
    ],
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match=r"view|input_px|mirrored"):
        new_predictor("patchcore", device="cpu", options=options)


def test_onnx_runtime_gives_the_same_scores(fitted_true, good_parts):
    samples = [fitted_true.begin(good_parts[0]), fitted_true.begin(good_parts[0][:, :256])]
    engine = OnnxEngine(to_onnx(fitted_true.network, tile_shape=samples[0].tiles.shape[1:]).content)
    assert parity(fitted_true.engine, engine, samples).max_score_difference < 1e-4
