"""A model answers on a line only if it still scores its own reference images as it did when it was made."""

import pytest

from vision.model_file import Reference, open_model, save
from vision.readiness import NotReadyError, make_ready


def ready(predictor, references, tmp_path):
    return make_ready(
        predictor, references=references, model_sha256="a" * 64, cache=tmp_path, say=lambda _: None
    )


def test_a_model_file_carries_its_proof(fitted, good_parts, bad_parts, tmp_path):
    path = tmp_path / "m.safetensors"
    sha256 = save(fitted, path, references=[*good_parts[:2], bad_parts[0]])
    found = open_model(path, expected_sha256=sha256, device="cpu")
    word = ready(found.predictor, found.references, tmp_path)
    assert (word.reference_count, word.largest_difference) == (3, 0.0)
    assert word.ms > 0
    assert "3 reference images" in str(word)
    assert word.runtime_difference <= 1e-3
    again = ready(
        open_model(path, expected_sha256=sha256, device="cpu").predictor, found.references, tmp_path
    )
    assert (
        again.runtime == word.runtime
    )  # the choice sticks: other bits for the same configuration would not do


def test_only_as_many_references_are_kept_as_fit(fitted, good_parts, tmp_path, monkeypatch):
    monkeypatch.setattr("vision.model_file.MOST_REFERENCE_BYTES", good_parts[0].nbytes)
    path = tmp_path / "m.safetensors"
    sha256 = save(fitted, path, references=good_parts[:3])
    assert len(open_model(path, expected_sha256=sha256, device="cpu").references) == 1


@pytest.mark.parametrize("score", [0.9, float("nan")])
def test_a_model_that_answers_otherwise_than_when_it_was_made_is_not_ready(
    fitted, good_parts, tmp_path, score
):
    with pytest.raises(NotReadyError, match="accepted as another model"):
        ready(fitted, [Reference(good_parts[0], score)], tmp_path)


def test_without_references_it_is_warmed_up_on_a_grey_image(fitted, tmp_path):
    assert ready(fitted, [], tmp_path).reference_count == 0
