"""Classifiers on timm's networks, with a plant's own weights or from chance."""

import hashlib
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.vision.extra import needs_extra

pytestmark = needs_extra()

from tests.vision.models.graded_parts import SIDE, examples, part  # noqa: E402
from vision.families import new_predictor  # noqa: E402
from vision.model_file import load, save  # noqa: E402
from vision.models.classifier_trunks import timm_trunk  # noqa: E402
from vision.predictor import no_progress  # noqa: E402
from vision.weights import WeightsError  # noqa: E402

# The smallest of each family that timm has.
SMALL = {"resnet": "resnet10t", "vit": "vit_tiny_patch16_224", "efficientnet": "tf_efficientnet_lite0"}


def options(family, **more):
    return {"architecture": SMALL[family], "input_px": SIDE, "epochs": 1, "batch": 4, "mirror": False} | more


@pytest.fixture(scope="module", params=sorted(SMALL))
def fitted(request):
    predictor = new_predictor(request.param, device="cpu", options=options(request.param))
    predictor.fit(examples(8, 8), seed=0, progress=no_progress)
    return predictor


def test_each_family_fits_and_answers_with_score_and_map(fitted):
    found = fitted.predict([part(9, "spot")[0]])[0]
    assert 0 <= found.score <= 1
    side = 4 if fitted.family == "vit" else 2
    assert found.defect_map.shape == (side, side)
    assert found.defect == "spot"


def test_the_logits_are_the_linear_layer_on_the_pooled_features_for_tokens_too(fitted):
    network, tiles = fitted.network, torch.from_numpy(fitted.prepare(part(3)[0]))
    with torch.inference_mode():
        logits, _ = network(tiles)
        layers = [*network.layers, *network.top_layers]
        weights = torch.cat([layer.weight[:, :, 0, 0] for layer in layers], dim=1)
        assert torch.allclose(logits, network.pooled(tiles) @ weights.T + network.bias, atol=1e-4)


def test_a_start_from_chance_is_said_plainly_and_is_the_same_every_time(fitted):
    assert fitted.state().metadata["weights"] == "from chance: no weights are registered"
    one, other = (
        timm_trunk("resnet10t", input_px=SIDE, start=None, device="cpu").module.state_dict() for _ in range(2)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_kept_model_gives_the_same_bits(fitted, tmp_path):
    sha256 = save(fitted, tmp_path / "m.safetensors")
    loaded = load(tmp_path / "m.safetensors", expected_sha256=sha256, device="cpu")
    one, other = fitted.predict([part(5)[0]])[0], loaded.predict([part(5)[0]])[0]
    assert one.score == other.score
    assert np.array_equal(one.defect_map, other.defect_map)


def registered(folder, content, name, *, sha256=None):
    (folder / name).write_bytes(content)
    line = {"file": name, "sha256": sha256 or hashlib.sha256(content).hexdigest()}
    (folder / "weights.json").write_text(json.dumps({"resnet10t": line}))
    return folder


def resnet_weights():
    trunk = timm_trunk("resnet10t", input_px=SIDE, start=None, device="cpu").module
    named = {name.removeprefix("net."): value + 0.01 for name, value in trunk.state_dict().items()}
    named = {name: value if value.is_floating_point() else value.long() for name, value in named.items()}
    return named | {"fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)}


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_registered_weights_are_read_and_named_in_the_model(tmp_path, kind):
    path = tmp_path / f"made.{kind}"
    if kind == "safetensors":
        save_file(resnet_weights(), path)
    else:
        torch.save(resnet_weights(), path)
    folder = registered(tmp_path, path.read_bytes(), f"resnet10t.{kind}")
    predictor = new_predictor("resnet", device="cpu", weights_folder=folder, options=options("resnet"))
    assert torch.equal(predictor.network.trunk.net.conv1[0].weight, resnet_weights()["conv1.0.weight"])
    predictor.fit(examples(6, 6), seed=0, progress=no_progress)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in predictor.state().metadata["weights"]


class _Alarm:
    def __reduce__(self):
        return pytest.fail, ("the pickle was executed",)


def test_other_damaged_and_dangerous_weights_are_refused(tmp_path):
    def new():
        return new_predictor("resnet", device="cpu", weights_folder=tmp_path, options=options("resnet"))

    registered(tmp_path, b"anything", "w.safetensors", sha256="0" * 64)
    with pytest.raises(WeightsError, match="not the registered ones"):
        new()
    registered(tmp_path, b"anything", "w.safetensors")
    with pytest.raises(WeightsError, match="no whole file of weights"):
        new()
    registered(tmp_path, pickle.dumps(_Alarm()), "w.pth")
    with pytest.raises(WeightsError, match="no whole file of weights"):
        new()
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "other")
    registered(tmp_path, (tmp_path / "other").read_bytes(), "w.safetensors")
    with pytest.raises(WeightsError, match="another architecture"):
        new()
    (tmp_path / "w.safetensors").unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        new()
    (tmp_path / "weights.json").write_text("{")
    with pytest.raises(WeightsError, match="cannot be read"):
        new()


def test_an_architecture_that_timm_lacks_is_refused():
    with pytest.raises(ValueError, match="timm has no architecture"):
        new_predictor("resnet", device="cpu", options={"architecture": "resnet_of_dreams"})
