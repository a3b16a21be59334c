"""The rim between predictors and the disk: safetensors in, safetensors out, never pickle."""

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes
from safetensors.numpy import save as tensors_to_bytes

from vision.families import FamilyError, family_class
from vision.predictor import Image, Predictor, State
from vision.preprocess.prepared import PREPROCESS, Preprocessed
from vision.staged import check_finite

FORMAT = 2
_REFERENCE = "reference."
_KEY = "second_look"  # one metadata key: safetensors does not keep the order of several


MOST_REFERENCE_BYTES = 16_000_000


class Reference(NamedTuple):
    """An image that the file carries, and the score that the model gave it when it was made."""

    image: Image
    score: float


class ModelFile(NamedTuple):
    predictor: Predictor
    references: list[Reference]


class ModelFileError(ValueError):
    """The model cannot be used; the message is a sentence for the operator."""


def save(predictor: Predictor, path: Path, *, references: Sequence[Image] = ()) -> str:
    """Write the model so that a power cut leaves the old file or the whole new one; returns its sha256.

    references  images that prove, wherever the file is read, that the model still answers as it does now; as many are
                kept as fit into 16 MB, the first always. One that the model cannot take proves nothing
    """
    state = predictor.state()
    looks = [(image, predictor.predict([image])[0]) for image in _fitting(references)]
    kept = [(image, look.score) for image, look in looks if not look.problem]
    header = json.dumps(
        {
            "format": FORMAT,
            "family": predictor.family,
            "metadata": state.metadata,
            "reference_scores": [score for _, score in kept],
        },
        sort_keys=True,
        allow_nan=False,
    )
    pictures = {f"{_REFERENCE}{number}": image for number, (image, _) in enumerate(kept)}
    content = tensors_to_bytes({**state.tensors, **pictures}, metadata={_KEY: header})
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)  # the temporary file is private; other processes of the plant read the model
    Path(file.name).replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return hashlib.sha256(content).hexdigest()


def load(path: Path, *, expected_sha256: str, device: str) -> Predictor:
    """The predictor of `open_model`."""
    return open_model(path, expected_sha256=expected_sha256, device=device).predictor


def open_model(path: Path, *, expected_sha256: str, device: str) -> ModelFile:
    """Read a model that is exactly the one wanted, or raise ModelFileError with the reason."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"The model file {path} cannot be read: {error.strerror or error}.") from error
    if hashlib.sha256(content).hexdigest() != expected_sha256:
        raise ModelFileError(f"The model file {path} is not the locked one: its sha256 differs.")
    try:
        header = _header(content)
        tensors = tensors_from_bytes(content)
        references = [
            Reference(tensors.pop(f"{_REFERENCE}{number}"), float(score))
            for number, score in enumerate(header["reference_scores"])
        ]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"The model file {path} is corrupt or of another format: {error}.") from error
    try:
        check_finite(tensors)
        predictor: Predictor = _kind(header).from_state(State(tensors, header["metadata"]), device=device)
    except FamilyError as error:
        raise ModelFileError(f"The model file {path} cannot be used here. {error}") from error
    except ValueError as error:
        raise ModelFileError(f"The model file {path} cannot be used: {error}") from error
    return ModelFile(predictor, references)


def _kind(header: dict[str, Any]) -> type[Any]:
    """The family's class; or the one that puts its models behind a preprocessing, where the file holds one."""
    if PREPROCESS not in header["metadata"]:
        return family_class(header["family"])
    if header["metadata"].get("family") != header["family"]:
        raise ValueError("its header names another family than the model behind its preprocessing.")
    return Preprocessed


def _fitting(images: Sequence[Image]) -> list[Image]:
    kept: list[Image] = []
    left = MOST_REFERENCE_BYTES
    for image in images:
        if image.nbytes <= left or not kept:
            kept.append(np.ascontiguousarray(image))
            left -= image.nbytes
    return kept


def _header(content: bytes) -> dict[str, Any]:
    """The JSON that `save` wrote, read from the same bytes that were hashed."""
    length = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_KEY])
    if header["format"] != FORMAT:
        raise ValueError(f"model format {header['format']} is not {FORMAT}")
    if not isinstance(header["family"], str) or not isinstance(header["metadata"], dict):
        raise TypeError("the header's fields have other types")
    return header
