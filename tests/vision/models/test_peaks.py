"""Peaks: means and maxima of the frozen backbone, in two sizes."""

import numpy as np
import pytest
import torch

from metrics.roc import auroc
from tests.vision.models.graded_parts import SIDE, examples, part
from vision.families import new_predictor
from vision.models.peaks import FAR_CHANNELS, Peaks
from vision.predictor import NotFittedError, Predictor, State, no_progress
from vision.runtime.export import parity, to_onnx
from vision.runtime.onnx_engine import OnnxEngine
from vision.runtime.torch_engine import TorchEngine

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def fitted():
    predictor = new_predictor("peaks", device="cpu")
    predictor.fit(examples(16, 16), seed=1, progress=no_progress)
    return predictor


def test_it_speaks_the_protocol(fitted):
    assert isinstance(fitted, Predictor)


def test_strangers_are_told_apart(fitted):
    good, bad = ([part(n, defect)[0] for n in range(900, 906)] for defect in ("", "spot"))
    scores = [[p.score for p in fitted.predict(kind)] for kind in (good, bad)]
    assert auroc(*scores) > 0.9


def test_the_map_points_at_the_defect(fitted):
    pixels, (rows, columns) = part(77, "spot")
    cells = fitted.predict([pixels])[0].defect_map
    row, column = np.unravel_index(cells.argmax(), cells.shape)
    step = SIDE / cells.shape[0]
    assert rows.start - 8 <= row * step <= rows.stop + 8
    assert columns.start - 8 <= column * step <= columns.stop + 8


def test_the_exposure_does_not_change_what_it_sees(fitted):
    pixels = part(5, "spot")[0] // 2 + 40
    assert np.allclose(fitted.prepare(pixels), fitted.prepare(pixels + 30), atol=1e-5)
    assert np.isfinite(fitted.predict([np.full((9, 9, 3), 128, np.uint8)])[0].score)


def test_the_network_says_what_the_linear_layer_said_of_its_features(fitted):
    batch = torch.from_numpy(fitted.prepare(part(3)[0]))
    with torch.inference_mode():
        logits, cells = fitted.network(batch)
        weights = torch.cat([layer.weight[0, :, 0, 0] for layer in fitted.network.layers])
        by_hand = fitted.network.pooled(batch)[0] @ weights + fitted.network.bias
    assert torch.allclose(logits[0, 1] - logits[0, 0], by_hand[0], atol=1e-4)
    assert weights.shape == (2 * FAR_CHANNELS + 40 + 112 + 192,)
    assert cells.shape == (1, 2, 20, 20)


def test_another_runtime_gives_the_same_scores(fitted):
    engine = OnnxEngine(to_onnx(fitted.network, tile_shape=(3, 320, 320)).content)
    begun = [fitted.begin(part(n, "spot" if n else "")[0]) for n in range(2)]
    assert parity(TorchEngine(fitted.network, device="cpu"), engine, begun).max_score_difference < 1e-3


def test_a_kept_state_gives_the_same_score_bit_for_bit(fitted):
    again = Peaks.from_state(fitted.state(), device="cpu")
    image = part(12, "spot")[0]
    ours, theirs = (p.predict([image])[0] for p in (fitted, again))
    assert ours.score == theirs.score
    assert np.array_equal(ours.defect_map, theirs.defect_map)


def test_a_state_that_is_not_whole_is_refused(fitted):
    tensors, metadata = fitted.state()
    with pytest.raises(ValueError, match="not whole"):
        Peaks.from_state(State(tensors, {}), device="cpu")
    with pytest.raises(ValueError, match=r"does not fit|not whole"):
        Peaks.from_state(State({}, metadata), device="cpu")


def test_too_few_parts_and_wild_options_are_refused():
    predictor = new_predictor("peaks", device="cpu")
    with pytest.raises(NotFittedError):
        predictor.predict([part(0)[0]])
    with pytest.raises(ValueError, match="at least 5 good and 3 bad"):
        predictor.fit(examples(4, 2), seed=0, progress=no_progress)
    with pytest.raises(ValueError, match="regularisation_c"):
        new_predictor("peaks", device="cpu", options={"regularisation_c": 0})
