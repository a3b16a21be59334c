import hashlib
import math

import numpy as np
import onnx
import pytest
import torch

from tests.vision.runtime.tiny import SIDE, TinyNetwork, TinyPredictor, UnsureNetwork, pictures
from vision.predictor import Prediction
from vision.runtime.engine import EngineError
from vision.runtime.export import parity, to_onnx
from vision.runtime.onnx_engine import OnnxEngine
from vision.runtime.openvino_engine import OpenVinoEngine
from vision.runtime.torch_engine import TorchEngine
from vision.staged import Begun


def test_patchcore_on_its_real_backbone_scores_the_same_in_every_runtime(fitted, good_parts, bad_parts):
    content = to_onnx(fitted.network, tile_shape=(3, 224, 224)).content
    begun = [fitted.begin(image) for image in [*good_parts[:2], *bad_parts[:2]]]
    reference = TorchEngine(fitted.network, device="cpu")
    for engine in (OnnxEngine(content), OpenVinoEngine(content)):
        found = parity(reference, engine, begun)
        assert found.n == 4
        assert found.max_score_difference < 1e-4
        assert found.max_map_difference < 1e-3


def test_the_same_network_gives_the_same_bytes_and_they_tell_nothing_of_this_machine(tiny_onnx):
    again = to_onnx(TinyNetwork(), tile_shape=(3, SIDE, SIDE))
    assert hashlib.sha256(again.content).digest() == hashlib.sha256(tiny_onnx).digest()
    assert again.seconds > 0
    assert b".py" not in tiny_onnx
    assert b"TinyNetwork" not in tiny_onnx


def test_the_number_of_tiles_is_free(tiny_onnx):
    shape = onnx.load_model_from_string(tiny_onnx).graph.input[0].type.tensor_type.shape
    assert shape.dim[0].dim_param == "tiles"
    assert [each.dim_value for each in shape.dim[1:]] == [3, SIDE, SIDE]
    for count in (1, 2, 5):
        (raw,) = OnnxEngine(tiny_onnx).run([np.zeros((count, 3, SIDE, SIDE), dtype=np.float32)])
        assert [len(output) for output in raw] == [count, count]


def test_writing_a_network_leaves_it_as_it_was():
    network = TinyNetwork().eval()
    network.register_buffer("bank", torch.ones(3))
    before = {name: (value.data_ptr(), value.clone()) for name, value in network.state_dict().items()}
    to_onnx(network, tile_shape=(3, SIDE, SIDE))
    for name, value in network.state_dict().items():
        assert value.data_ptr() == before[name][0]
        assert torch.equal(value, before[name][1])


def test_a_network_whose_path_depends_on_the_data_is_refused_with_a_sentence():
    with pytest.raises(EngineError, match="cannot be written as ONNX"):
        to_onnx(UnsureNetwork(), tile_shape=(3, SIDE, SIDE))


class Answering:
    """An engine that always answers the same score."""

    name = "answering"

    def __init__(self, score):
        self._score = score

    def run(self, tiles):
        return [(np.array([self._score], dtype=np.float32),) for _ in tiles]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (0.5, 0.5, 0.0),
        (0.5, 0.25, 0.25),
        (math.nan, math.nan, 0.0),
        (math.nan, 0.5, math.inf),
        (0.5, math.nan, math.inf),
    ],
)
def test_the_difference_of_two_scores_and_a_nan_that_one_of_them_loses_is_never_small(one, other, expected):
    def finish(raw):
        return Prediction(float(raw[0][0]), np.full((2, 2), raw[0][0], dtype=np.float32))

    begun = [Begun(np.zeros((1, 3, 4, 4), dtype=np.float32), finish)]
    found = parity(Answering(one), Answering(other), begun)
    assert found.max_score_difference == expected
    assert found.max_map_difference == expected


def test_parity_looks_at_every_image(tiny_onnx):
    predictor = TinyPredictor()
    found = parity(predictor.engine, OnnxEngine(tiny_onnx), [predictor.begin(image) for image in pictures(5)])
    assert found.n == 5
    assert found.max_score_difference < 1e-5
