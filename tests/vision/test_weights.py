"""Which weights files a network may start from."""

import hashlib
import json
import pickle

import pytest
import torch
from safetensors.torch import save

from vision.weights import (
    PUBLISHED,
    RESNET50,
    RegisteredWeights,
    WeightsError,
    read_weights,
    registered_weights,
)

TENSORS = {"a": torch.arange(3.0)}


def register(folder, content, name="own.safetensors", architecture="resnet50"):
    (folder / name).write_bytes(content)
    line = {"file": name, "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "weights.json").write_text(json.dumps({architecture: line}))


def test_without_a_folder_or_a_file_nothing_is_registered(tmp_path):
    assert registered_weights("resnet50", folder=None) is None
    assert registered_weights("resnet50", folder=tmp_path) is None


def test_a_published_file_counts_where_it_lies_in_the_folder(tmp_path):
    (tmp_path / RESNET50.file_name).write_bytes(b"not looked at yet")
    assert registered_weights("resnet50", folder=tmp_path) == RESNET50 == PUBLISHED["resnet50"]
    with pytest.raises(WeightsError, match="not the registered ones"):
        read_weights(RESNET50, tmp_path / RESNET50.file_name)


def test_a_line_of_the_plant_goes_before_a_published_file(tmp_path):
    (tmp_path / RESNET50.file_name).write_bytes(b"published")
    register(tmp_path, save(TENSORS))
    found = registered_weights("resnet50", folder=tmp_path)
    assert found is not None
    assert found.file_name == "own.safetensors"
    assert torch.equal(read_weights(found, tmp_path / found.file_name)["a"], TENSORS["a"])


def test_a_line_cannot_point_out_of_the_folder(tmp_path):
    line = {"file": "../../etc/passwd", "sha256": "0" * 64}
    (tmp_path / "weights.json").write_text(json.dumps({"resnet18": line}))
    assert registered_weights("resnet18", folder=tmp_path) == RegisteredWeights(
        "resnet18", "passwd", "0" * 64
    )


@pytest.mark.parametrize("text", ["{", "[]", '{"resnet18": {"file": "a"}}', '{"resnet18": "a"}'])
def test_a_register_that_cannot_be_read_is_no_start_from_chance(tmp_path, text):
    (tmp_path / "weights.json").write_text(text)
    with pytest.raises(WeightsError, match="cannot be read"):
        registered_weights("resnet18", folder=tmp_path)


class Alarm:
    def __reduce__(self):
        return pytest.fail, ("the pickle was executed",)


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (None, "w.pth", "cannot be read"),
        (b"anything", "w.safetensors", "no whole file of weights"),
        (b"anything", "w.pth", "no whole file of weights"),
        (pickle.dumps(Alarm()), "w.pth", "no whole file of weights"),
    ],
)
def test_missing_damaged_and_dangerous_files_are_refused(tmp_path, content, name, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    registered = RegisteredWeights("resnet18", name, hashlib.sha256(content or b"").hexdigest())
    with pytest.raises(WeightsError, match=reason):
        read_weights(registered, tmp_path / name)


def test_a_file_of_more_than_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3, "a": TENSORS["a"]}, tmp_path / "w.pth")
    sha256 = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match="more than named tensors"):
        read_weights(RegisteredWeights("resnet18", "w.pth", sha256), tmp_path / "w.pth")
