"""The one protocol every model family speaks: pixels in, a score and a defect map out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # HxWx3, RGB
FloatMap = NDArray[np.float32]  # HxW, probability 0..1
Mask = NDArray[np.bool_]  # HxW, True where the defect was painted
Progress = Callable[[float, str], None]  # fraction done 0..1, what is being done


class State(NamedTuple):
    """Everything a fitted predictor is made of, ready for a file: arrays and JSON, never code."""

    tensors: dict[str, NDArray[Any]]
    metadata: dict[str, Any]


class NotFittedError(RuntimeError):
    """The predictor was asked before it had learned anything."""


@dataclass(frozen=True)
class Example:
    """One graded picture to learn from.

    defect  its type as people named it; "" for a good part, or where nobody named it
    mask    the painted defect, as large as the picture; None where nobody painted it
    group   images of one physical part share it, so that no hold-out splits them; "" is a group of its own
    """

    pixels: Image
    is_bad: bool
    defect: str = ""
    mask: Mask | None = None
    group: str = ""


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image.

    score       probability 0..1 that the part is bad: the robust maximum of the defect map.
                NaN where the model's arithmetic broke down: the caller holds that part
    defect_map  HxW float32, probability 0..1, at the model's own resolution; it covers the whole
                image edge to edge (`vision.maps.resize_to_image` brings it to image pixels)
    defect      the likely type of the defect, where the family knows types
    problem     why there is no score, as a sentence; then the score is NaN. "" where all went well
    """

    score: float
    defect_map: FloatMap
    defect: str = ""
    problem: str = ""


@runtime_checkable
class Predictor(Protocol):
    """A model family: learns from graded pictures, then scores images.

    `fit` must leave a predictor that can predict; `calibrate` refines the map from raw evidence to
    probability on parts that `fit` has not seen. A predictor opens no file: `vision.model_file` does.
    """

    @property
    def family(self) -> str:
        """Its name in `vision.families`."""
        ...

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Input size, normalisation and colour as JSON: part of the golden configuration."""
        ...

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Learn; the same examples in the same order and seed give the same model.

        Raises ValueError with a sentence where the examples are too few or of the wrong kind.
        """
        ...

    def calibrate(self, examples: Sequence[Example]) -> None:
        """Set the evidence-to-probability map from held-out parts."""
        ...

    def predict(self, images: Sequence[Image]) -> list[Prediction]:
        """Score each image by itself: the answer never depends on the other images of the batch."""
        ...

    def state(self) -> State:
        """Everything needed to predict the same bits again."""
        ...

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        """Rebuild the predictor; raises ValueError if the state is not whole."""
        ...


def no_progress(fraction: float, doing: str) -> None:
    """For callers who show nobody anything."""


def good_and_bad(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """The same examples, told apart."""
    return [each for each in examples if not each.is_bad], [each for each in examples if each.is_bad]


def check_image(image: Image) -> None:
    """Raises ValueError unless the array is HxWx3 uint8 with at least one pixel."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"An image must be HxWx3 uint8 RGB, not {image.shape} {image.dtype}.")
