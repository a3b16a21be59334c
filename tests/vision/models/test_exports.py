"""Every family that classifies leaves torch for another runtime without moving a score."""

import pytest
import torch

from tests.vision.models.graded_parts import SIDE, examples, part
from vision.families import FAMILIES, new_predictor
from vision.predictor import no_progress
from vision.runtime.export import parity, to_onnx
from vision.runtime.onnx_engine import OnnxEngine
from vision.runtime.openvino_engine import OpenVinoEngine
from vision.runtime.torch_engine import TorchEngine

torch.set_num_threads(1)
SMALL = {"resnet": "resnet10t", "vit": "vit_tiny_patch16_224", "efficientnet": "lite0"}
FAMILY_NAMES = [
    pytest.param(
        name,
        marks=[pytest.mark.models, pytest.mark.skipif(not family.is_available, reason="needs the extra set")]
        if family.needs_extra
        else [],
    )
    for name, family in FAMILIES.items()
    if name in (*SMALL, "probe")
]


def options(family):
    small = {"input_px": SIDE, "mirror": False}
    return small if family == "probe" else small | {"architecture": SMALL[family], "epochs": 1, "batch": 8}


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_its_scores_and_maps_are_the_same_in_every_runtime(family):
    predictor = new_predictor(family, device="cpu", options=options(family))
    predictor.fit(examples(8, 8), seed=0, progress=no_progress)
    content = to_onnx(predictor.network, tile_shape=(3, SIDE, SIDE)).content
    begun = [predictor.begin(part(n, "spot" if n % 2 else "")[0]) for n in range(4)]
    reference = TorchEngine(predictor.network, device="cpu")
    for engine in (OnnxEngine(content), OpenVinoEngine(content)):
        found = parity(reference, engine, begun)
        assert found.max_score_difference < 1e-3
        assert found.max_map_difference < 1e-3
