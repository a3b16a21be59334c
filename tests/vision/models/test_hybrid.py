"""The hybrid: several members, one prediction."""

import json

import numpy as np
import pytest
import torch

from metrics.roc import auroc
from tests.vision.models.painted import small_part, small_parts
from vision.families import new_predictor
from vision.model_file import Reference
from vision.models.fusion import Fusion
from vision.models.hybrid import Hybrid, fused
from vision.models.members import pack, unpack, unpack_raw
from vision.predictor import NotFittedError, Prediction, Predictor, State, no_progress
from vision.readiness import make_ready

torch.set_num_threads(1)
UNET = {"tile_px": 64, "overlap_px": 16, "steps": 20, "batch": 4, "rate": 4e-3}
PROBE = {"input_px": 64, "mirror": False}
MEMBERS = {"anomaly_options": {"bank_size": 60}}


def new(**options):
    return new_predictor("hybrid", device="cpu", options={**MEMBERS, **options})


@pytest.fixture(scope="module")
def fitted():
    predictor = new(supervised="unet+probe", supervised_options={"unet": UNET, "probe": PROBE})
    predictor.fit(small_parts(good=30, bad=10), seed=1, progress=no_progress)
    return predictor


@pytest.fixture(scope="module")
def with_probe():
    unpainted = [small_part(n, is_bad=n >= 9, painted=False, group=str(n)) for n in range(15)]
    predictor = new(supervised="probe", supervised_options={"probe": PROBE})
    predictor.fit(unpainted, seed=1, progress=no_progress)
    return predictor


def test_it_speaks_the_protocol(fitted):
    assert isinstance(fitted, Predictor)


def test_its_members_are_those_that_were_named(fitted, with_probe):
    assert [member.family for member in fitted.members.values()] == ["patchcore", "unet", "probe"]
    assert [member.family for member in with_probe.members.values()] == ["patchcore", "probe"]
    assert np.isfinite(with_probe.predict([small_part(90, is_bad=True).pixels])[0].score)


@pytest.mark.parametrize(("painted", "classifiers"), [(8, ["unet", "peaks"]), (7, ["peaks"])])
def test_painted_parts_ask_for_a_u_net_too(painted, classifiers):
    bad = [small_part(n, is_bad=True, painted=n < painted) for n in range(10)]
    assert new()._classifiers(bad) == classifiers


def test_cells_may_take_the_u_nets_seat():
    cells = {"tile_px": 64, "overlap_px": 16, "steps": 2}
    predictor = new(supervised="cells", supervised_options={"cells": cells})
    parts = small_parts(good=8, bad=6)
    predictor.fit(parts, seed=0, progress=no_progress)
    assert [member.family for member in predictor.members.values()] == ["patchcore", "cells"]
    assert np.isfinite(predictor.predict([parts[-1].pixels])[0].score)


def test_few_bad_parts_leave_the_anomaly_model_alone():
    parts = small_parts(good=8, bad=4)
    hybrid, alone = new(), new_predictor("patchcore", device="cpu", options={"bank_size": 60})
    for predictor in (hybrid, alone):
        predictor.fit(parts, seed=3, progress=no_progress)
    ours, theirs = (p.predict([parts[-1].pixels])[0] for p in (hybrid, alone))
    assert ours.score == theirs.score
    assert np.array_equal(ours.defect_map, theirs.defect_map)
    again = Hybrid.from_state(hybrid.state(), device="cpu")
    assert again.predict([parts[-1].pixels])[0].score == ours.score


def test_many_pictures_of_few_bad_parts_are_few_bad_parts():
    parts = [*small_parts(good=8, bad=0), *(small_part(n, is_bad=True, group="one") for n in range(9))]
    predictor = new()
    predictor.fit(parts, seed=0, progress=no_progress)
    assert list(predictor.members) == ["anomaly"]


def test_strangers_are_told_apart_and_the_map_points(fitted):
    strangers = small_parts(good=8, bad=8, seed=5)
    predictions = fitted.predict([part.pixels for part in strangers])
    assert auroc([p.score for p in predictions[:8]], [p.score for p in predictions[8:]]) > 0.85
    best = predictions[8 + int(np.argmax([p.score for p in predictions[8:]]))]
    assert np.median(best.defect_map) < 0.5 * best.defect_map.max()


def test_the_answer_is_the_rule_applied_to_the_members_own_answers(fitted):
    image = small_part(44, is_bad=True).pixels
    by_hand = fused([m.predict([image])[0] for m in fitted.members.values()], fitted._fusion)
    ours = fitted.predict([image])[0]
    assert ours.score == by_hand.score
    assert np.array_equal(ours.defect_map, by_hand.defect_map)


def test_the_other_images_of_a_batch_change_no_bit(fitted):
    images = [part.pixels for part in small_parts(good=2, bad=2, seed=3)]
    images.append(small_part(3, height=70, width=200).pixels)
    alone = [fitted.predict([image])[0].score for image in images]
    assert [p.score for p in fitted.predict(images)] == alone


def test_a_faster_engine_put_into_a_member_is_used(fitted):
    image, member = small_part(5).pixels, fitted.members["anomaly"]

    class Counting:
        name = "counting"
        calls = 0

        def __init__(self, inner):
            self.inner = inner

        def run(self, tiles):
            self.calls += 1
            return self.inner.run(tiles)

    before, member.engine = member.engine, Counting(member.engine)
    try:
        fitted.predict([image])
        assert member.engine.calls == 1
    finally:
        member.engine = before


def test_a_kept_state_gives_the_same_score_bit_for_bit(fitted):
    again = Hybrid.from_state(fitted.state(), device="cpu")
    image = small_part(12, is_bad=True).pixels
    ours, theirs = (p.predict([image])[0] for p in (fitted, again))
    assert ours.score == theirs.score
    assert np.array_equal(ours.defect_map, theirs.defect_map)


def test_a_state_that_is_not_whole_is_refused(fitted):
    tensors, metadata = fitted.state()
    with pytest.raises(ValueError, match="not whole"):
        Hybrid.from_state(State(tensors, {}), device="cpu")
    with pytest.raises(ValueError, match="without a rule"):
        Hybrid.from_state(State(tensors, {**metadata, "fusion": None}), device="cpu")
    inner = {role: {**kept, "family": "hybrid"} for role, kept in metadata["members"].items()}
    with pytest.raises(ValueError, match="cannot be a member"):
        Hybrid.from_state(State(tensors, {**metadata, "members": inner}), device="cpu")


def test_good_parts_of_other_groups_calibrate_it(with_probe):
    with_probe.calibrate(small_parts(good=6, bad=0, seed=8))
    assert np.isfinite(with_probe.predict([small_part(3, is_bad=True).pixels])[0].score)


@pytest.mark.parametrize("broken", ["anomaly", "supervised"])
def test_a_member_that_answers_nan_makes_the_score_nan(broken):
    rng = np.random.default_rng(0)
    rule = Fusion.of(rng.normal(-2, 1, (20, 2)), rng.normal(2, 1, (10, 2)))
    fine = Prediction(0.2, np.full((4, 4), 0.2, np.float32))
    wild = Prediction(np.nan, np.full((2, 2), np.nan, np.float32), problem="It cannot be aligned.")
    pair = (wild, fine) if broken == "anomaly" else (fine, wild)
    prediction = fused(pair, rule)
    assert np.isnan(prediction.score)
    assert prediction.problem == "It cannot be aligned."


def test_the_maps_robust_maximum_is_the_score_and_its_background_stays():
    rng = np.random.default_rng(1)
    rule = Fusion.of(rng.normal(-2, 1, (50, 2)), rng.normal(2, 1, (20, 2)))
    quiet = np.full((8, 8), 0.05, np.float32)
    one, other = quiet.copy(), np.full((16, 16), 0.05, np.float32)
    one[2, 2:5], other[4:6, 4:10] = 0.9, 0.95
    prediction = fused([Prediction(0.9, one), Prediction(0.95, other)], rule)
    assert prediction.defect_map.shape == (16, 16)
    worst = np.sort(prediction.defect_map, axis=None)[-3:]
    assert worst[0] - 1e-5 <= prediction.score <= worst[-1] + 1e-5
    assert prediction.defect_map[12, 12] == prediction.defect_map.min() < 0.2


def test_tiles_of_several_sizes_travel_in_one_array_and_answers_find_their_member():
    tiles = [np.random.default_rng(n).random((n, 3, 8 * n, 8 * n), np.float32) for n in (1, 4, 2)]
    for sent, arrived in zip(tiles, unpack(pack(tiles)), strict=True):
        assert np.array_equal(sent, arrived)
    one, two, three = (np.full((2, n), n, np.float32) for n in (1, 2, 3))
    assert unpack_raw((np.array([1, 2], np.float32), one, two, three)) == [(one,), (two, three)]


def test_every_member_gets_a_runtime_that_is_held_against_the_whole_hybrids_score(with_probe, tmp_path):
    hybrid = Hybrid.from_state(with_probe.state(), device="cpu")  # its own: the runtimes stay in it
    images = [small_part(n, is_bad=n % 2 == 1).pixels for n in range(3)]
    references = [Reference(image, hybrid.predict([image])[0].score) for image in images]
    said = []
    ready = make_ready(hybrid, references=references, model_sha256="a" * 64, cache=tmp_path, say=said.append)
    assert ready.refused == {}
    assert ready.runtime_difference <= 1e-3
    kept = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert len(kept) == 2
    assert all({"torch on cpu", "ONNX Runtime on cpu", "OpenVINO on cpu"} == set(each["ms"]) for each in kept)
    for role, member in hybrid.members.items():
        assert f"{role}: {member.engine.name}" in ready.runtime
        assert any(line.startswith(f"{role}: The network runs in {member.engine.name}") for line in said)


def test_before_fitting_it_refuses():
    with pytest.raises(NotFittedError):
        new().predict([small_part(0).pixels])


@pytest.mark.parametrize(
    "options",
    [
        {"anomaly": "hybrid"},
        {"supervised": "onnx"},
        {"supervised": "probe+probe"},
        {"supervised": "probe", "supervised_options": {"unet": {}}},
        {"depth": 3},
    ],
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match=r"\.$"):
        new(**options)
