"""Model files: exactly the locked bytes, or a sentence."""

import hashlib

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from vision.families import FamilyError, family_class, new_predictor
from vision.model_file import ModelFileError, load, save
from vision.weights import EFFICIENTNET_LITE0, WeightsError


@pytest.fixture
def model(fitted_with_bad, tmp_path):
    path = tmp_path / "models" / "a.safetensors"
    return path, save(fitted_with_bad, path)


def test_a_loaded_model_gives_the_same_bits(model, fitted_with_bad, bad_parts):
    path, sha256 = model
    loaded = load(path, expected_sha256=sha256, device="cpu")
    for one, other in zip(fitted_with_bad.predict(bad_parts[:3]), loaded.predict(bad_parts[:3]), strict=True):
        assert one.score == other.score
        assert np.array_equal(one.defect_map, other.defect_map)
    assert loaded.preprocessing == fitted_with_bad.preprocessing


def test_the_same_model_has_the_same_hash_and_leaves_no_other_file(model, fitted_with_bad, tmp_path):
    path, sha256 = model
    assert save(fitted_with_bad, path) == sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [file.name for file in path.parent.iterdir()] == ["a.safetensors"]


def test_a_missing_model_is_said_to_be_missing(tmp_path):
    with pytest.raises(ModelFileError, match="cannot be read"):
        load(tmp_path / "none", expected_sha256="0" * 64, device="cpu")


def test_one_flipped_bit_is_another_model(model):
    path, sha256 = model
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="not the locked one"):
        load(path, expected_sha256=sha256, device="cpu")


def loaded_as(path, content):
    path.write_bytes(content)
    return load(path, expected_sha256=hashlib.sha256(content).hexdigest(), device="cpu")


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, save_tensors({"a": np.zeros(2)})])
def test_a_corrupt_file_with_the_right_hash_is_still_refused(tmp_path, content):
    with pytest.raises(ModelFileError, match="corrupt or of another format"):
        loaded_as(tmp_path / "x", content)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (
            '{"format": 2, "family": "oracle", "metadata": {}, "reference_scores": []}',
            "No model family is called 'oracle'",
        ),
        ('{"format": 1, "family": "patchcore", "metadata": {}}', "another format"),
        ('{"format": 2, "family": "patchcore", "metadata": {}, "reference_scores": []}', "cannot be used"),
        (
            '{"format": 2, "family": "patchcore", "metadata": {}, "reference_scores": [0.5]}',
            "another format",
        ),
        ("[]", "another format"),
    ],
)
def test_a_whole_file_of_something_else_is_refused(tmp_path, header, reason):
    content = save_tensors({"bank": np.zeros((3, 152), np.float32)}, metadata={"second_look": header})
    with pytest.raises(ModelFileError, match=reason):
        loaded_as(tmp_path / "x", content)


def test_a_memory_bank_with_nan_is_refused(model):
    path, _ = model
    content = path.read_bytes()
    tensors = load_tensors(content)
    tensors["bank"] = np.full_like(tensors["bank"], np.nan)
    import json

    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    with pytest.raises(ModelFileError, match="finite"):
        loaded_as(path, save_tensors(tensors, metadata=header))


def test_an_unknown_family_is_refused_by_name():
    with pytest.raises(FamilyError, match=r"there are: .*patchcore"):
        family_class("oracle")


def test_an_unknown_option_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"there are: .*bank_size"):
        new_predictor("patchcore", device="cpu", options={"banksize": 10})
    with pytest.raises(ValueError, match="bank_size is int"):
        new_predictor("patchcore", device="cpu", options={"bank_size": "many"})


def test_other_backbone_weights_under_the_registered_name_are_refused(tmp_path):
    (tmp_path / EFFICIENTNET_LITE0.file_name).write_bytes(b"something else")
    with pytest.raises(WeightsError, match="not the registered ones"):
        new_predictor("patchcore", device="cpu", weights_folder=tmp_path)
