"""Families whose prediction has three steps, so that each may run where it is fastest.

prepare   pixels -> tiles        OpenCV and NumPy, in threads beside the processor that runs the network
engine    tiles -> raw evidence  the network, in torch or in another runtime that gives the same answers
finish    raw evidence -> score and defect map, calibrated

Who runs the steps calls `begin`, not `prepare` and `finish`: where an image is aligned first, its answer finds the
way back only through what `begin` kept of it (`vision.preprocess.prepared`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from vision.predictor import Example, Image, Prediction, Progress, State
from vision.runtime.engine import Engine, Raw, Tiles
from vision.runtime.torch_engine import reference_engine


@dataclass(frozen=True)
class Begun:
    """One image under way: what the network is to see of it, and what makes a prediction of the network's answer."""

    tiles: Tiles
    finish: Callable[[Raw], Prediction]


class Stepwise(ABC):
    """What a worker needs to run the steps of one image in different threads: `begin`, `engine`, `Begun.finish`.

    engine           runs the network; the worker may put a faster one in its place
    exports_to_onnx  False where the network's control flow depends on the data: torch alone runs it
    """

    family: ClassVar[str]
    exports_to_onnx: ClassVar[bool] = True
    network: nn.Module
    engine: Engine

    @abstractmethod
    def begin(self, image: Image) -> Begun:
        """The first step; ValueError, with a sentence, if this image cannot be judged: the caller holds its part."""

    def sample_image(self) -> Image:
        """An image that `begin` takes: to warm up, to export, to measure runtimes."""
        return np.full((64, 64, 3), 128, np.uint8)

    def predict(self, images: Sequence[Image]) -> list[Prediction]:
        begun = [self.begin(image) for image in images]
        raws = self.engine.run([each.tiles for each in begun])
        return [each.finish(raw) for each, raw in zip(begun, raws, strict=True)]


class Staged(Stepwise):
    """Base of the families, which prepare and finish an image by its pixels and size alone."""

    def __init__(self, network: nn.Module, *, device: str) -> None:
        self.device = device
        self.network = network

    @property
    def network(self) -> nn.Module:
        """Batch NxCxHxW -> tuple of tensors, each with N first."""
        return self._network

    @network.setter
    def network(self, network: nn.Module) -> None:
        self._network = network.eval()
        self.engine = reference_engine(network, device=self.device, is_static=self.exports_to_onnx)

    @property
    @abstractmethod
    def preprocessing(self) -> dict[str, Any]: ...

    @abstractmethod
    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None: ...

    @abstractmethod
    def calibrate(self, examples: Sequence[Example]) -> None: ...

    @abstractmethod
    def prepare(self, image: Image) -> Tiles:
        """The image as TxCxHxW float32, T >= 1 tiles of the network's fixed size; ValueError if it is no image."""

    @abstractmethod
    def finish(self, raw: Raw, *, height: int, width: int) -> Prediction:
        """Score and map of one image of height x width pixels; NaN evidence gives the score NaN."""

    @abstractmethod
    def state(self) -> State: ...

    @classmethod
    @abstractmethod
    def from_state(cls, state: State, *, device: str) -> Self: ...

    def begin(self, image: Image) -> Begun:
        tiles = self.prepare(image)
        return Begun(tiles, partial(self.finish, height=image.shape[0], width=image.shape[1]))


def module_tensors(module: nn.Module, *, prefix: str) -> dict[str, NDArray[Any]]:
    """A module's weights as plain arrays, for `State`."""
    return {
        f"{prefix}.{name}": value.detach().cpu().contiguous().numpy()
        for name, value in module.state_dict().items()
    }


def tensors_under(tensors: dict[str, NDArray[Any]], *, prefix: str) -> dict[str, NDArray[Any]]:
    """The arrays that `module_tensors` or a nested state wrote under this prefix, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def check_finite(tensors: dict[str, NDArray[Any]]) -> None:
    """Raises ValueError if any weight is NaN or infinite: such a model would answer NaN for every part, or worse."""
    for name, value in tensors.items():
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            raise ValueError(f"The model's {name} holds numbers that are not finite.")
