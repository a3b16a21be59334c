"""The detection families: what they learn from paint, and what they never do. Small: a step at 64 pixels, unless it has to learn."""

import hashlib
import json

import numpy as np
import pytest
import torch

from metrics.roc import auroc
from tests.vision.extra import needs_extra
from vision import model_file
from vision.families import FAMILIES, new_predictor
from vision.maps import resize_to_image
from vision.predictor import Example, NotFittedError, Predictor, no_progress
from vision.weights import WeightsError

pytestmark = needs_extra()


DETECTORS = ["ssdlite", "fcos", "retinanet", "faster_rcnn", "mask_rcnn"]
TINY = {"input_px": 64, "steps": 1, "batch": 2}


def _part(seed, *, is_bad, is_painted=True, defect="stain", group=""):
    """A grey plate, with a dark square somewhere if it is bad."""
    rng = np.random.default_rng(seed)
    pixels = np.full((120, 100, 3), 140, np.uint8) + rng.integers(0, 12, size=(120, 100, 1), dtype=np.uint8)
    mask = None
    if is_bad:
        side, y, x = int(rng.integers(20, 36)), int(rng.integers(0, 80)), int(rng.integers(0, 60))
        mask = np.zeros((120, 100), dtype=bool)
        mask[y : y + side, x : x + side] = True
        pixels[mask] = 30
    return Example(
        pixels, is_bad, defect if is_bad else "", mask if is_painted else None, group or f"part {seed}"
    )


GOOD = [_part(number, is_bad=False) for number in range(6)]
BAD = [_part(100 + number, is_bad=True, defect=["dent", "stain"][number % 2]) for number in range(6)]
STRANGERS = [_part(200, is_bad=False).pixels, _part(201, is_bad=True).pixels]


def _fit(family, examples=(*GOOD, *BAD), *, seed=3, **options):
    predictor = new_predictor(family, device="cpu", options={**TINY, **options})
    predictor.fit(examples, seed=seed, progress=no_progress)
    return predictor


@pytest.fixture(scope="module", params=DETECTORS)
def fitted(request):
    return _fit(request.param)


def test_all_are_on_the_list_of_families_and_ask_for_the_extra_set():
    assert all(FAMILIES[name].needs_extra for name in DETECTORS)
    assert all(FAMILIES[name].learns_from == "painted labels" for name in DETECTORS)


def test_it_speaks_the_protocol(fitted):
    assert isinstance(fitted, Predictor)
    assert fitted.exports_to_onnx is False


def test_the_score_is_the_probability_of_the_strongest_box_and_is_drawn(fitted):
    for prediction in fitted.predict(STRANGERS):
        assert 0 <= prediction.score <= 1
        assert (prediction.defect_map.shape, prediction.defect_map.dtype) == ((16, 16), np.float32)
        assert prediction.defect_map.max() == pytest.approx(prediction.score, rel=1e-5)


def test_the_other_images_of_a_batch_change_nothing(fitted):
    together = fitted.predict(STRANGERS)
    alone = [fitted.predict([image])[0] for image in STRANGERS]
    assert [each.score for each in together] == [each.score for each in alone]
    assert all(np.array_equal(a.defect_map, b.defect_map) for a, b in zip(together, alone, strict=True))


def test_a_model_file_gives_the_same_scores_bit_for_bit(fitted, tmp_path):
    sha256 = model_file.save(fitted, tmp_path / "model.safetensors")
    again = model_file.load(tmp_path / "model.safetensors", expected_sha256=sha256, device="cpu")
    ours, theirs = fitted.predict(STRANGERS), again.predict(STRANGERS)
    assert [each.score for each in ours] == [each.score for each in theirs]
    assert again.state().metadata == fitted.state().metadata


def test_broken_arithmetic_gives_nan_and_not_a_part_without_a_box(fitted):
    state = fitted.state()
    broken = type(fitted).from_state(state, device="cpu")
    with torch.no_grad():
        next(broken.network.parameters()).fill_(torch.nan)
    prediction = broken.predict(STRANGERS[:1])[0]
    assert np.isnan(prediction.score)
    assert np.isnan(prediction.defect_map).all()
    with pytest.raises(ValueError, match="not finite"):
        broken.calibrate(GOOD)


def test_a_file_with_a_number_that_is_none_is_refused(fitted):
    tensors, metadata = fitted.state()
    name = next(iter(tensors))
    tensors[name] = np.full_like(tensors[name], np.nan)
    with pytest.raises(ValueError, match="not finite"):
        type(fitted).from_state(model_file.State(tensors, metadata), device="cpu")


def test_a_file_that_lacks_a_tensor_or_a_field_is_refused():
    tensors, metadata = _fit("fcos").state()
    family = type(_new("fcos"))
    with pytest.raises(ValueError, match="not whole"):
        family.from_state(model_file.State(dict(list(tensors.items())[1:]), metadata), device="cpu")
    with pytest.raises(ValueError, match="not whole"):
        family.from_state(model_file.State(tensors, {**metadata, "taught": {}}), device="cpu")


@pytest.mark.parametrize("family", ["fcos", "faster_rcnn"])
def test_the_same_seed_fits_the_same_model(family):
    first, second = (_fit(family, seed=5).state() for _ in range(2))
    assert first.metadata == second.metadata
    assert all(np.array_equal(first.tensors[name], second.tensors[name]) for name in first.tensors)


def test_broken_second_looks_of_the_two_stage_families_give_nan_too():
    predictor = _fit("faster_rcnn")
    with torch.no_grad():
        predictor.network.detector.roi_heads.box_predictor.cls_score.bias.fill_(torch.inf)
    assert np.isnan(predictor.predict(STRANGERS[:1])[0].score)


def test_it_learns_where_the_painted_defects_are():
    predictor = _fit("fcos", input_px=96, steps=25, batch=4)
    good = [_part(300 + number, is_bad=False) for number in range(6)]
    bad = [_part(400 + number, is_bad=True) for number in range(6)]
    scores = [[each.score for each in predictor.predict([e.pixels for e in few])] for few in (good, bad)]
    assert auroc(*scores) > 0.9
    for example in bad:
        drawn = resize_to_image(predictor.predict([example.pixels])[0].defect_map, height=120, width=100)
        assert drawn[example.mask].mean() > 2 * drawn[~example.mask].mean()


def test_bad_parts_that_nobody_painted_teach_nothing_and_are_counted():
    unpainted = [_part(500 + number, is_bad=True, is_painted=False) for number in range(5)]
    predictor = _fit("ssdlite", [*GOOD, *BAD, *unpainted])
    taught = predictor.state().metadata["taught"]
    assert taught["left_out_unpainted"] >= 3
    assert 4 <= taught["painted"] <= 6
    with pytest.raises(ValueError, match="at least one bad part with a painted defect"):
        _fit("ssdlite", [*GOOD, *unpainted])


def test_without_good_parts_to_calibrate_on_it_says_so():
    with pytest.raises(ValueError, match="good parts of several groups"):
        _fit("fcos", BAD)


def test_it_tells_the_defect_types_apart_if_asked():
    predictor = _fit("retinanet", with_types=True)
    assert predictor.state().metadata["types"] == ["dent", "stain"]
    assert {each.defect for each in predictor.predict(STRANGERS)} <= {"dent", "stain"}
    assert {each.defect for each in _fit("retinanet").predict(STRANGERS)} == {""}


def test_before_it_is_fitted_it_has_no_answer():
    predictor = _new("fcos")
    for ask in (lambda: predictor.predict(STRANGERS), predictor.state, lambda: predictor.calibrate(GOOD)):
        with pytest.raises(NotFittedError, match="has not been fitted yet"):
            ask()


def test_progress_runs_from_0_to_1():
    told = []
    new_predictor("fcos", device="cpu", options=TINY).fit(
        [*GOOD, *BAD], seed=0, progress=lambda fraction, doing: told.append((fraction, doing))
    )
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"input_px": 100}, "multiple of 32"),
        ({"steps": 0}, "at least 1 step"),
        ({"speed": 2.0}, "speed lies between"),
        ({"backbone": "vgg"}, "fcos looks through lite0 or resnet50"),
        ({"anchors": 9}, "There is no option 'anchors'"),
    ],
)
def test_what_cannot_be_set_is_refused_with_a_sentence(options, reason):
    with pytest.raises(ValueError, match=reason):
        new_predictor("fcos", device="cpu", options=options)


def test_resnet_asks_for_its_registered_weights_and_takes_no_others(tmp_path):
    with pytest.raises(WeightsError, match=r"needs resnet50-0676ba61\.pth in the folder SECONDLOOK_WEIGHTS"):
        new_predictor("retinanet", device="cpu", options={"backbone": "resnet50"})
    with pytest.raises(WeightsError, match=r"needs resnet50-0676ba61\.pth"):
        new_predictor("retinanet", device="cpu", weights_folder=tmp_path, options={"backbone": "resnet50"})
    (tmp_path / "resnet50-0676ba61.pth").write_bytes(b"something else")
    with pytest.raises(WeightsError, match="not the registered ones"):
        new_predictor("retinanet", device="cpu", weights_folder=tmp_path, options={"backbone": "resnet50"})


def test_a_plants_own_resnet_weights_become_the_backbone(tmp_path):
    from torchvision.models import resnet50

    path = tmp_path / "resnet.pth"
    named = resnet50(weights=None).state_dict()
    torch.save(named, path)
    line = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (tmp_path / "weights.json").write_text(json.dumps({"resnet50": line}))
    options = {"backbone": "resnet50", "input_px": 64}
    predictor = new_predictor("fcos", device="cpu", weights_folder=tmp_path, options=options)
    body = predictor.network.detector.backbone.body.state_dict()
    assert torch.equal(body["layer4.2.conv3.weight"], named["layer4.2.conv3.weight"])
    assert predictor.preprocessing["mean"] == [0.485, 0.456, 0.406]


def test_ssdlite_can_look_through_its_own_mobilenet():
    predictor = _fit("ssdlite", backbone="mobilenet_v3")
    assert 0 <= predictor.predict(STRANGERS[:1])[0].score <= 1


def _new(family):
    return new_predictor(family, device="cpu", options=TINY)
