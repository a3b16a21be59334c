import json

import pytest

from vision.runtime.memory import CorruptMemoryError, Memory, Remembered

SHA = "ab" * 32
CHOSEN = Remembered(
    engine="OpenVINO on cpu",
    ms={"OpenVINO on cpu": 8.6, "torch on cpu": 38.0},
    refused={"ONNX Runtime on cpu": "It failed."},
    libraries={"torch": "2.13.0"},
    onnx_sha256={"float32": "cd" * 32},
    score_limit=1e-3,
)


def memory(folder, *, device="a processor"):
    return Memory(folder, model_sha256=SHA, device_name=device)


def test_what_was_written_is_read_again(tmp_path):
    memory(tmp_path).write(CHOSEN)
    assert memory(tmp_path).read() == CHOSEN


def test_there_is_nothing_to_read_before_something_was_written(tmp_path):
    assert memory(tmp_path / "new").read() is None


def test_another_device_has_a_choice_of_its_own(tmp_path):
    memory(tmp_path).write(CHOSEN)
    assert memory(tmp_path, device="another").read() is None


def test_a_file_copied_from_another_device_is_not_believed(tmp_path):
    memory(tmp_path).write(CHOSEN)
    copied = memory(tmp_path, device="another")
    copied.path.write_bytes(memory(tmp_path).path.read_bytes())
    with pytest.raises(CorruptMemoryError, match="another device"):
        copied.read()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"device": "a processor"}', "\x00\xff", "null"])
def test_a_damaged_file_is_an_error_with_its_name(tmp_path, text):
    kept = memory(tmp_path)
    kept.path.write_text(text)
    with pytest.raises(CorruptMemoryError, match=r"\.json is damaged"):
        kept.read()


@pytest.mark.parametrize(
    ("field", "value"), [("engine", 7), ("ms", "fast"), ("libraries", []), ("score_limit", "x"), ("new", 1)]
)
def test_fields_of_another_kind_are_damage_too(tmp_path, field, value):
    kept = memory(tmp_path)
    kept.write(CHOSEN)
    kept.path.write_text(json.dumps({**json.loads(kept.path.read_text()), field: value}))
    with pytest.raises(CorruptMemoryError):
        kept.read()


def test_a_network_file_that_was_changed_is_not_handed_out(tmp_path):
    kept = memory(tmp_path)
    kept.write_onnx("float32", b"the network")
    assert kept.read_onnx("float32", sha256="0" * 64) is None
    assert kept.read_onnx("int8", sha256="0" * 64) is None


def test_a_model_is_named_by_its_whole_sha256_and_nothing_else(tmp_path):
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        Memory(tmp_path, model_sha256="../../etc", device_name="a processor")
