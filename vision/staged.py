"""Families whose prediction has three steps, so that each may run where it is fastest.

prepare   pixels -> tiles        OpenCV and NumPy, in threads beside the processor that runs the network
engine    tiles -> raw evidence  the network, in torch or in another runtime that gives the same answers
finish    raw evidence -> score and defect map, calibrated
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from vision.predictor import Example, Image, Prediction, Progress, State
from vision.runtime.engine import Engine, Raw, Tiles, TorchEngine


class Staged(ABC):
    """Base of the families; `predict` is written once.

    engine           runs the network; the worker may put a faster one in its place
    exports_to_onnx  False where the network's control flow depends on the data: torch alone runs it
    """

    family: ClassVar[str]
    exports_to_onnx: ClassVar[bool] = True

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
        self.engine: Engine = TorchEngine(network, device=self.device)

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

    def predict(self, images: Sequence[Image]) -> list[Prediction]:
        raws = self.engine.run([self.prepare(image) for image in images])
        return [
            self.finish(raw, height=image.shape[0], width=image.shape[1])
            for raw, image in zip(raws, images, strict=True)
        ]


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
