"""The probe and the fine-tuned EfficientNet of the base set."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

from metrics.roc import auroc
from tests.vision.models.graded_parts import SIDE, examples, part
from vision.families import new_predictor
from vision.model_file import ModelFileError, load, save
from vision.models.classifier import Probe
from vision.models.classifier_network import ClassifierNetwork, strongest
from vision.models.classifier_training import taught_and_held
from vision.models.classifier_tuned import EfficientNetClassifier
from vision.predictor import Example, NotFittedError, Predictor, State, no_progress
from vision.runtime.export import to_onnx

PROBE = {"input_px": SIDE, "mirror": False}
TUNED = {"input_px": SIDE, "epochs": 2, "batch": 8, "train_from_block": 11}


def fitted_probe(graded, **options):
    predictor = new_predictor("probe", device="cpu", options=PROBE | options)
    predictor.fit(graded, seed=1, progress=no_progress)
    return predictor


@pytest.fixture(scope="module")
def probe():
    return fitted_probe(examples(24, 24))


@pytest.fixture(scope="module")
def typed():
    return fitted_probe(examples(24, 24, defects=("spot", "bar")))


@pytest.fixture(scope="module")
def tuned():
    predictor = new_predictor("efficientnet", device="cpu", options=TUNED)
    predictor.fit(examples(20, 20), seed=1, progress=no_progress)
    return predictor


@pytest.fixture(params=["probe", "tuned"])
def either(request):
    return request.getfixturevalue(request.param)


def scores(predictor, graded):
    return np.array([p.score for p in predictor.predict([each.pixels for each in graded])])


def test_it_speaks_the_protocol(either):
    assert isinstance(either, Predictor)


def test_bad_parts_that_it_has_never_seen_score_above_good_ones(either):
    new = examples(16, 16, first=2000)
    found = scores(either, new)
    assert auroc(found[:16], found[16:]) > 0.9
    assert np.all((found >= 0) & (found <= 1))


def test_the_maps_robust_maximum_is_the_score(either):
    for prediction in either.predict([each.pixels for each in examples(3, 3, first=2000)]):
        assert (prediction.defect_map.shape, prediction.defect_map.dtype) == ((8, 8), np.float32)
        worst = np.sort(prediction.defect_map.ravel().astype(np.float64))[-3:]
        assert worst[0] - 1e-6 <= prediction.score <= worst[-1] + 1e-6


def test_the_logits_are_the_linear_layer_on_the_pooled_features(either):
    tiles = torch.from_numpy(either.prepare(part(3, "spot")[0]))
    with torch.inference_mode():
        logits, cells = either.network(tiles)
        levels = either.network.trunk(tiles)
        pooled = either.network.pooled(tiles)
        layers = [*either.network.layers, *either.network.top_layers]
        weights = torch.cat([layer.weight[:, :, 0, 0] for layer in layers], dim=1)
        assert torch.allclose(logits, pooled @ weights.T + either.network.bias, atol=1e-4)
    assert cells.shape[-2:] == levels[0].shape[-2:]
    assert [level.shape[-1] for level in levels] == [8, 4, 2]
    assert len(layers) == 6


def test_without_the_strongest_cells_the_class_activation_map_is_exact():
    plain = fitted_probe(examples(12, 12), top_share=0.0)
    tiles = torch.from_numpy(plain.prepare(part(3, "spot")[0]))
    with torch.inference_mode():
        logits, cells = plain.network(tiles)
    assert torch.allclose(logits, cells.mean(dim=(2, 3)), atol=1e-5)


def test_the_strongest_cells_alone_carry_a_channels_top():
    level = torch.tensor([[[[0.0, 4.0], [1.0, -2.0]], [[3.0, 3.0], [3.0, 1.0]]]])
    kept = strongest(level, share=0.25)
    assert torch.equal(kept[0, 0], torch.tensor([[0.0, 16.0], [0.0, 0.0]]))
    assert kept[0, 0].mean() == 4.0
    assert torch.allclose(kept[0, 1], torch.tensor([[4.0, 4.0], [4.0, 0.0]]))
    assert torch.isnan(strongest(torch.full((1, 1, 2, 2), torch.nan), share=0.25)).all()


def test_a_model_from_before_there_were_strongest_cells_still_loads():
    old = fitted_probe(examples(10, 8), top_share=0.0)
    tensors, metadata = old.state()
    options = {name: value for name, value in metadata["options"].items() if name != "top_share"}
    again = Probe.from_state(State(tensors, metadata | {"options": options}), device="cpu")
    assert again.predict([part(5)[0]])[0].score == old.predict([part(5)[0]])[0].score


def test_the_map_is_stronger_where_the_defect_is(probe):
    inside, outside = [], []
    for seed in range(3000, 3012):
        pixels, (rows, columns) = part(seed, "spot")
        defect_map = np.kron(probe.predict([pixels])[0].defect_map, np.ones((SIDE // 8, SIDE // 8)))
        is_inside = np.zeros((SIDE, SIDE), bool)
        is_inside[rows, columns] = True
        inside.append(defect_map[is_inside].mean())
        outside.append(defect_map[~is_inside].mean())
    assert np.mean(inside) > np.mean(outside)


def test_the_likely_defect_is_named(typed):
    named = [
        typed.predict([part(seed, defect)[0]])[0].defect == defect
        for defect in ("spot", "bar")
        for seed in range(4000, 4010)
    ]
    assert np.mean(named) > 0.9


def test_the_same_image_gets_the_same_bits_whatever_is_beside_it(either):
    images = [each.pixels for each in examples(3, 2, first=2000)]
    together, alone = either.predict(images), [either.predict([image])[0] for image in images]
    assert [p.score for p in together] == [p.score for p in alone]
    assert all(np.array_equal(a.defect_map, b.defect_map) for a, b in zip(together, alone, strict=True))
    assert either.predict([]) == []


@pytest.mark.parametrize("family", ["probe", "efficientnet"])
def test_the_same_seed_gives_the_same_model(family):
    options = PROBE if family == "probe" else TUNED | {"epochs": 1}
    states = []
    for _ in range(2):
        predictor = new_predictor(family, device="cpu", options=options)
        predictor.fit(examples(10, 8), seed=4, progress=no_progress)
        states.append(predictor.state())
    assert states[0].metadata == states[1].metadata
    assert all(np.array_equal(states[0].tensors[n], states[1].tensors[n]) for n in states[0].tensors)


def test_a_kept_model_gives_the_same_bits(either, tmp_path):
    sha256 = save(either, tmp_path / "m.safetensors")
    loaded = load(tmp_path / "m.safetensors", expected_sha256=sha256, device="cpu")
    image = part(77, "spot")[0]
    one, other = either.predict([image])[0], loaded.predict([image])[0]
    assert (one.score, one.defect) == (other.score, other.defect)
    assert np.array_equal(one.defect_map, other.defect_map)
    assert loaded.preprocessing == either.preprocessing
    assert loaded.state().metadata == either.state().metadata
    with pytest.raises(ModelFileError, match="not the locked one"):
        load(tmp_path / "m.safetensors", expected_sha256="0" * 64, device="cpu")


def test_calibration_is_kept_with_how_honest_it_is(probe):
    kept = probe.state().metadata["calibration"]
    assert kept["method"] == "platt"
    assert sum(each["n"] for each in kept["reliability"]) == 48


def test_calibrating_anew_keeps_the_order(probe):
    again = Probe.from_state(probe.state(), device="cpu")
    new = examples(12, 12, first=5000)
    before = scores(again, new)
    again.calibrate(new)
    after = scores(again, new)
    assert np.array_equal(np.argsort(before, kind="stable"), np.argsort(after, kind="stable"))
    with pytest.raises(ValueError, match="at least one good part"):
        again.calibrate(new[12:])


def test_fine_tuning_ends_no_worse_than_it_began(tuned):
    errors = tuned.state().metadata["held_errors"]
    assert len(errors) == 3
    assert min(errors) <= errors[0]
    assert "sha256" in tuned.state().metadata["weights"]


def test_fine_tuning_changes_the_last_blocks_and_no_earlier_one(tuned, probe):
    ours, frozen = tuned.state().tensors, probe.state().tensors
    changed = {
        name.split(".")[4]
        for name in ours
        if "blocks" in name and not np.array_equal(ours[name], frozen[name])
    }
    assert changed <= {"11", "12", "13", "14"}
    assert min(tuned._held_errors[1:]) >= tuned._held_errors[0] or changed


def test_the_hold_out_never_splits_a_group_and_knows_both_kinds():
    taught, held = taught_and_held(examples(20, 20), seed=3)
    assert not {each.group for each in taught} & {each.group for each in held}
    for side in (taught, held):
        assert {each.is_bad for each in side} == {True, False}
    assert len(taught) + len(held) == 40


def test_augmentation_is_a_callable_that_may_be_replaced():
    seen = []
    predictor = new_predictor("efficientnet", device="cpu", options=TUNED | {"epochs": 1})

    def unchanged(image, _rng):
        seen.append(image.shape)
        return image

    predictor.augment = unchanged
    predictor.fit(examples(10, 8), seed=0, progress=no_progress)
    assert set(seen) == {(SIDE, SIDE, 3)}


def test_progress_rises_to_1():
    told = []
    predictor = new_predictor("efficientnet", device="cpu", options=TUNED | {"epochs": 1})
    predictor.fit(examples(10, 8), seed=0, progress=lambda fraction, doing: told.append((fraction, doing)))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert all(doing for _, doing in told)


class TwoLevels(torch.nn.Module):
    """A trunk small enough to be exported in a blink."""

    def __init__(self):
        super().__init__()
        self.near = torch.nn.Conv2d(3, 4, 4, stride=4)
        self.far = torch.nn.Conv2d(4, 6, 4, stride=4)

    def forward(self, batch):
        near = self.near(batch)
        return near, self.far(near)


def test_score_and_map_leave_an_exported_network_in_one_pass():
    torch.manual_seed(0)
    network = ClassifierNetwork(TwoLevels(), channels=(4, 6), classes=3, top_share=0.1).eval()
    content = to_onnx(network, tile_shape=(3, 32, 32)).content
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    tiles = torch.randn(2, 3, 32, 32)
    theirs = session.run(None, {session.get_inputs()[0].name: tiles.numpy()})
    with torch.inference_mode():
        ours = network(tiles)
    assert [output.shape for output in theirs] == [(2, 3), (2, 3, 8, 8)]
    assert all(np.allclose(one, other, atol=1e-4) for one, other in zip(theirs, ours, strict=True))


@pytest.mark.parametrize("place", ["logits", "map"])
def test_broken_arithmetic_gives_nan_and_never_a_pass(probe, place):
    raw = [np.zeros((1, 2), np.float32), np.zeros((1, 2, 8, 8), np.float32)]
    raw[0 if place == "logits" else 1].reshape(-1)[-1] = np.nan
    assert np.isnan(probe.finish(tuple(raw), height=9, width=9).score)


def test_before_fitting_it_refuses():
    empty = new_predictor("probe", device="cpu", options=PROBE)
    for ask in (
        lambda: empty.predict([part(0)[0]]),
        empty.state,
        lambda: empty.calibrate(examples(5, 5)),
    ):
        with pytest.raises(NotFittedError):
            ask()


@pytest.mark.parametrize(("good", "bad"), [(4, 9), (9, 2), (0, 0)])
@pytest.mark.parametrize("family", ["probe", "efficientnet"])
def test_too_few_parts_are_refused_with_a_sentence(family, good, bad):
    with pytest.raises(
        ValueError, match=f"at least 5 good and 3 bad graded parts to learn from, not {good} and {bad}"
    ):
        new_predictor(family, device="cpu").fit(examples(good, bad), seed=0, progress=no_progress)


def test_one_group_alone_can_still_be_fitted():
    alone = [Example(each.pixels, each.is_bad, each.defect, group="one") for each in examples(8, 6)]
    assert np.isfinite(scores(fitted_probe(alone), alone)).all()


@pytest.mark.parametrize(
    ("family", "options", "reason"),
    [
        ("probe", {"input_px": 100}, "multiple of 32"),
        ("probe", {"epochs": 3}, "no option 'epochs'"),
        ("probe", {"regularisation_c": 0.0}, "above 0"),
        ("probe", {"top_share": 0.7}, "0 to 0.5"),
        ("efficientnet", {"epochs": 0}, "at least 1"),
        ("efficientnet", {"learning_rate": 2.0}, "learning_rate"),
        ("efficientnet", {"train_from_block": 15}, "0 to 14"),
        ("efficientnet", {"architecture": "resnet18"}, "timm's with 'efficientnet'"),
    ],
)
def test_options_that_make_no_sense_are_refused(family, options, reason):
    with pytest.raises(ValueError, match=reason):
        new_predictor(family, device="cpu", options=options)


@pytest.mark.parametrize(
    ("where", "value", "reason"),
    [
        ("network.bias", np.array([0, np.nan], np.float32), "not finite"),
        ("network.bias", np.zeros(5, np.float32), "does not fit its architecture"),
        ("network.bias", None, "does not fit its architecture"),
        ("classes", ["good"], "classes are not whole"),
        ("classes", ["good", "a", "b"], "does not fit its architecture"),
        ("classes", None, "not whole"),
        ("calibration", {}, "calibration is not whole"),
        ("options", {"magic": 1}, "no option"),
        ("preprocessing", {}, "another preprocessing"),
    ],
)
def test_a_state_that_is_not_whole_is_refused(probe, tuned, where, value, reason):
    for predictor, kind in ((probe, Probe), (tuned, EfficientNetClassifier)):
        tensors, metadata = predictor.state()
        tensors, metadata = dict(tensors), json.loads(json.dumps(metadata))
        inner = tensors if where.startswith("network") else metadata
        if value is None:
            del inner[where]
        else:
            inner[where] = value
        with pytest.raises(ValueError, match=reason):
            kind.from_state(State(tensors, metadata), device="cpu")


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (0, 10, 3)])
def test_an_array_that_is_no_rgb_image_is_refused(probe, shape):
    with pytest.raises(ValueError, match="HxWx3"):
        probe.predict([np.zeros(shape, np.uint8)])
