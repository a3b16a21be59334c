"""EfficientAD: a student that saw good parts alone, its teacher, and an autoencoder."""

import hashlib

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from tests.vision.conftest import examples_of
from tests.vision.models.good_parts import GoodPartsFamily
from vision.families import new_predictor
from vision.models.backbone import load_backbone
from vision.models.efficientad import (
    HARD_SHARE,
    TEACHER_FILE,
    TEACHER_LEVEL,
    PackagedTeacher,
    PatchDescription,
    _hard,
    foreign_picture,
)
from vision.models.trunk import Trunk
from vision.predictor import State, no_progress
from vision.weights import WeightsError


class TestEfficientAd(GoodPartsFamily):
    family = "efficientad"
    options = {"input_px": 128, "steps": 200}
    quick_options = {"input_px": 64, "steps": 4}
    fewest_auroc = 0.6

    def one_of_each_kind(self, state):
        names = ("teacher.stem.weight", "student.conv5.weight", "autoencoder.last.weight", "quantiles")
        return {f"network.{name}": state.tensors[f"network.{name}"] for name in names}

    @pytest.mark.parametrize("name", ["quantiles", "deviation"])
    def test_a_map_that_cannot_be_normalised_is_refused(self, learned, name):
        state = learned.state()
        flat = {f"network.{name}": np.zeros_like(state.tensors[f"network.{name}"])}
        with pytest.raises(ValueError, match="quantiles must rise"):
            type(learned).from_state(State({**state.tensors, **flat}, state.metadata), device="cpu")

    def test_the_student_learns(self, learned, good_parts):
        missed = []
        for predictor in (learned, self.fit(good_parts[:7], steps=4)):
            with torch.inference_mode():
                maps = predictor.network.maps(torch.from_numpy(predictor.prepare(good_parts[0])))
            missed.append(maps[0, 0].mean().item())
        assert missed[0] < 0.95 * missed[1]


def test_the_packaged_teacher_is_the_backbone_as_it_stands():
    backbone = load_backbone(weights_folder=None, device="cpu")
    batch = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(
            PackagedTeacher(backbone)(batch), Trunk(backbone, levels=[TEACHER_LEVEL])(batch)[0]
        )


def test_the_hard_loss_is_the_mean_of_the_largest_differences():
    difference = torch.zeros(100, 100)
    largest = round(HARD_SHARE * difference.numel())
    difference.view(-1)[: 2 * largest] = torch.tensor([2.0, 1.0]).repeat_interleave(largest)
    assert _hard(difference).item() == 4.0
    assert torch.isnan(_hard(torch.full((10, 10), torch.nan)))


def test_foreign_pictures_are_drawn_by_seed_and_never_twice_alike():
    one, again, other = (foreign_picture(np.random.default_rng(seed), 64) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert (one.shape, one.dtype) == ((64, 64, 3), np.uint8)


def write_teacher(folder, channels=8):
    teacher = PatchDescription(channels)
    content = save({name: value.numpy() for name, value in teacher.state_dict().items()})
    (folder / TEACHER_FILE).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def test_a_teacher_from_a_file_teaches_and_travels_with_the_model(tmp_path, good_parts):
    options = {"input_px": 64, "steps": 4, "teacher_sha256": write_teacher(tmp_path)}
    predictor = new_predictor("efficientad", device="cpu", weights_folder=tmp_path, options=options)
    predictor.fit(examples_of(good_parts[:6]), seed=0, progress=no_progress)
    again = type(predictor).from_state(predictor.state(), device="cpu")
    assert again.predict(good_parts[:1])[0].score == predictor.predict(good_parts[:1])[0].score


def test_a_teacher_that_is_another_file_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="SECONDLOOK_WEIGHTS"):
        new_predictor("efficientad", device="cpu", options={"teacher_sha256": "0" * 64})
    for spoil, says in ((None, "cannot be read"), (b"x", "sha256 differs")):
        if spoil:
            (tmp_path / TEACHER_FILE).write_bytes(spoil)
        with pytest.raises(WeightsError, match=says):
            new_predictor(
                "efficientad", device="cpu", weights_folder=tmp_path, options={"teacher_sha256": "0" * 64}
            )
    other = save({"weight": np.ones(3, np.float32)})
    (tmp_path / TEACHER_FILE).write_bytes(other)
    with pytest.raises(ValueError, match="no teacher"):
        new_predictor(
            "efficientad",
            device="cpu",
            weights_folder=tmp_path,
            options={"teacher_sha256": hashlib.sha256(other).hexdigest()},
        )
    (tmp_path / TEACHER_FILE).write_bytes(b"x")
    with pytest.raises(WeightsError, match="no whole file of weights"):
        new_predictor(
            "efficientad",
            device="cpu",
            weights_folder=tmp_path,
            options={"teacher_sha256": hashlib.sha256(b"x").hexdigest()},
        )
