"""The U-Net: what it learns from painted labels, and what it never does."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from metrics.roc import auroc
from tests.vision.models.painted import small_part, small_parts
from vision.families import new_predictor
from vision.models.unet import UNet, kept_out
from vision.models.unet_crops import Changes, Crops, paste
from vision.models.unet_network import new_network
from vision.models.unet_training import segmentation_loss
from vision.predictor import Example, NotFittedError, Predictor, State, no_progress
from vision.weights import WeightsError

torch.set_num_threads(1)
OPTIONS = {"tile_px": 64, "overlap_px": 16, "steps": 25, "batch": 4, "rate": 4e-3}


def new(**options):
    return new_predictor("unet", device="cpu", options={**OPTIONS, **options})


@pytest.fixture(scope="module")
def fitted():
    predictor = new()
    predictor.fit(small_parts(), seed=1, progress=no_progress)
    return predictor


def test_it_speaks_the_protocol(fitted):
    assert isinstance(fitted, Predictor)


def test_it_finds_what_was_painted_and_points_at_it(fitted):
    strangers = small_parts(seed=7)
    predictions = fitted.predict([part.pixels for part in strangers])
    good = [p.score for p, part in zip(predictions, strangers, strict=True) if not part.is_bad]
    bad = [p.score for p, part in zip(predictions, strangers, strict=True) if part.is_bad]
    assert auroc(good, bad) > 0.95
    part, prediction = strangers[-1], predictions[-1]
    row, column = np.unravel_index(prediction.defect_map.argmax(), prediction.defect_map.shape)
    rows, columns = np.nonzero(part.mask)
    assert abs(4 * row + 2 - rows.mean()) < 16
    assert abs(4 * column + 2 - columns.mean()) < 16
    assert np.median(prediction.defect_map) < 0.5 * prediction.defect_map.max()


@pytest.mark.parametrize("shape", [(1, 1, 3), (37, 500, 3), (300, 20, 3), (96, 128, 3)])
def test_images_of_any_size_get_a_map_that_covers_them(fitted, shape):
    prediction = fitted.predict([np.full(shape, 128, np.uint8)])[0]
    assert 0 <= prediction.score <= 1
    assert prediction.defect_map.shape == (-(-shape[0] // 4), -(-shape[1] // 4))
    assert prediction.defect_map.dtype == np.float32


def test_the_other_images_of_a_batch_change_no_bit(fitted):
    images = [part.pixels for part in small_parts(seed=3)[-4:]]
    together = fitted.predict(images)
    alone = [fitted.predict([image])[0] for image in images]
    assert [p.score for p in together] == [p.score for p in alone]
    assert all(np.array_equal(a.defect_map, b.defect_map) for a, b in zip(together, alone, strict=True))


def test_the_same_seed_teaches_the_same_network():
    parts = small_parts(good=6, bad=4)
    states = []
    for _ in range(2):
        predictor = new(steps=3)
        predictor.fit(parts, seed=5, progress=no_progress)
        states.append(predictor.state())
    assert states[0].metadata == states[1].metadata
    assert all(np.array_equal(states[0].tensors[name], states[1].tensors[name]) for name in states[0].tensors)


def test_a_kept_state_gives_the_same_score_bit_for_bit(fitted):
    again = UNet.from_state(fitted.state(), device="cpu")
    image = small_part(77, is_bad=True).pixels
    ours, theirs = fitted.predict([image])[0], again.predict([image])[0]
    assert ours.score == theirs.score
    assert np.array_equal(ours.defect_map, theirs.defect_map)


def test_a_state_that_is_not_whole_is_refused(fitted):
    tensors, metadata = fitted.state()
    name = next(iter(tensors))
    with pytest.raises(ValueError, match="does not fit"):
        UNet.from_state(State({k: v for k, v in tensors.items() if k != name}, metadata), device="cpu")
    with pytest.raises(ValueError, match="not whole"):
        UNet.from_state(State(tensors, {}), device="cpu")
    with pytest.raises(ValueError, match="another preprocessing"):
        UNet.from_state(State(tensors, {**metadata, "preprocessing": {}}), device="cpu")


def test_a_broken_network_answers_nan():
    predictor = new(steps=1)
    predictor.fit(small_parts(good=6, bad=3), seed=0, progress=no_progress)
    with torch.no_grad():
        predictor.network.head.weight.fill_(torch.nan)
    assert np.isnan(predictor.predict([small_part(1).pixels])[0].score)
    with pytest.raises(ValueError, match="not finite"):
        predictor.calibrate(small_parts(good=3, bad=0))


def test_progress_runs_from_0_to_1():
    told = []
    new(steps=6).fit(small_parts(good=6, bad=3), seed=0, progress=lambda *said: told.append(said))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_without_painted_parts_it_refuses():
    unpainted = [small_part(n, is_bad=n >= 8, painted=False) for n in range(14)]
    with pytest.raises(ValueError, match="painted"):
        new().fit(unpainted, seed=0, progress=no_progress)


def test_before_fitting_it_refuses():
    for ask in (lambda p: p.predict([small_part(1).pixels]), lambda p: p.state()):
        with pytest.raises(NotFittedError):
            ask(new())


@pytest.mark.parametrize(
    "options", [{"tile_px": 100}, {"overlap_px": 200}, {"steps": 0}, {"scale": 0}, {"colour": "red"}]
)
def test_options_that_cannot_be_are_refused_with_a_sentence(options):
    with pytest.raises(ValueError, match=r"[a-z].*\.$"):
        new(**options)


def test_no_group_is_both_taught_and_held():
    good = [Example(np.zeros((2, 2, 3), np.uint8), is_bad=False, group=f"g{n % 9}") for n in range(40)]
    bad = [Example(np.zeros((2, 2, 3), np.uint8), is_bad=True, group=f"g{n % 7}") for n in range(30)]
    taught, held = kept_out(good, bad, share=0.2, seed=0)
    assert len(taught) + len(held) == 70
    assert {e.group for e in taught}.isdisjoint({e.group for e in held})
    assert any(e.is_bad for e in held)
    assert any(not e.is_bad for e in held)


def test_the_exported_network_gives_the_same_logits(fitted, tmp_path):
    from vision.runtime.export import parity, to_onnx
    from vision.runtime.onnx_engine import CPU, OnnxEngine

    engine = OnnxEngine(to_onnx(fitted.network, tile_shape=(3, 64, 64)).content, provider=CPU)
    begun = [fitted.begin(small_part(3, is_bad=True).pixels), fitted.begin(small_part(4).pixels)]
    assert parity(fitted.engine, engine, begun).max_score_difference < 1e-3


def test_crops_hold_the_painted_defect_with_its_mask():
    changes = Changes(flips=True, rotation_deg=10, light=0.2, pasted_share=1.0)
    crops = Crops(small_parts(), size_px=64, changes=changes, rng=np.random.default_rng(0))
    pixels, masks = crops.batch(8)
    assert pixels.shape == (8, 64, 64, 3)
    assert masks.shape == (8, 64, 64)
    assert masks[::2].any(axis=(1, 2)).sum() >= 3
    for light, mask in zip(pixels, masks, strict=True):
        if mask.sum() > 30 and (mask == 0).any():
            assert light[mask == 1].mean() < light[mask == 0].mean() - 0.2


def test_a_pasted_defect_takes_the_brightness_of_its_new_place():
    source = np.full((64, 64, 3), 0.8, np.float32)
    mask = np.zeros((64, 64), np.float32)
    mask[30:36, 30:36] = 1
    source[mask == 1] = 0.4
    laid, truth = paste(source, mask, np.full((64, 64, 3), 0.2, np.float32))
    assert np.array_equal(truth, mask)
    assert laid[32, 32] == pytest.approx([0.1, 0.1, 0.1], abs=0.01)
    assert laid[5, 5] == pytest.approx([0.2, 0.2, 0.2])


def test_a_pinhole_that_is_missed_costs_about_as_much_as_a_field():
    truth = torch.zeros(2, 16, 16)
    truth[0, 2:6, 2:6] = 1
    truth[1, :8] = 1
    sees = torch.where(truth > 0, 6.0, -6.0)
    misses = [sees.clone(), sees.clone()]
    misses[0][0], misses[1][1] = -6.0, -6.0
    pinhole, field = (float(segmentation_loss(each, truth)) for each in misses)
    assert float(segmentation_loss(sees, truth)) < 0.3 * min(pinhole, field)
    assert 0.3 < pinhole / field < 3


@pytest.mark.skipif(find_spec("timm") is not None, reason="the extra set is installed")
def test_without_the_extra_set_another_encoder_says_what_to_install():
    with pytest.raises(ValueError, match=r"requirements-models\.txt"):
        new(encoder="resnet18")


@pytest.mark.skipif(find_spec("segmentation_models_pytorch") is None, reason="needs requirements-models.txt")
def test_with_the_extra_set_any_encoder_runs(tmp_path):
    network, origin = new_network("resnet18", weights_folder=None, weights_sha256="")
    assert "from chance" in origin
    assert network.eval()(torch.zeros(1, 3, 64, 64))[0].shape == (1, 16, 16)
    with pytest.raises(ValueError, match="no encoder"):
        new_network("nonsense", weights_folder=None, weights_sha256="")
    (tmp_path / "resnet18.pth").write_bytes(b"other")
    with pytest.raises(WeightsError, match="sha256"):
        new_network("resnet18", weights_folder=tmp_path, weights_sha256="0" * 64)
