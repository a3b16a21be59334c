"""What the families that learn from good parts alone share: an evidence map in, a probability out.

Graded bad parts never teach them; if there are enough, they set the line from evidence to probability.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vision.holdout import hold_out
from vision.maps import robust_maximum
from vision.models.calibration import Calibration
from vision.models.trunk import whole_image
from vision.predictor import Example, Image, NotFittedError, Prediction, Progress, State, good_and_bad
from vision.runtime.engine import Raw, Tiles
from vision.staged import Staged

FEWEST_GOOD = 5
HELD_SHARE = 0.2
MOST_HELD = 100

EvidenceMap = NDArray[np.float32]  # hxw over the whole image; higher is stranger, NaN where arithmetic broke


class GoodParts(Staged):
    """One square tile an image, one evidence map, one line to the probability."""

    _input_px: int
    _calibration: Calibration | None = None
    _has_learned: bool = False  # set by `fit` as soon as there is evidence to calibrate

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {
            "colour": "RGB",
            "input_px": [self._input_px, self._input_px],
            "resize": "area, whole image, aspect not kept",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
        }

    @abstractmethod
    def evidence_map(self, raw: Raw) -> EvidenceMap:
        """How strange each cell of one image is, from what the fitted network says of it."""

    def prepare(self, image: Image) -> Tiles:
        return whole_image(image, input_px=self._input_px)

    def finish(self, raw: Raw, *, height: int, width: int) -> Prediction:
        calibration = self._fitted_calibration()
        cells = self.evidence_map(raw)
        score = calibration.probability(robust_maximum(cells))
        return Prediction(float(score), calibration.probability(cells).astype(np.float32))

    def calibrate(self, examples: Sequence[Example]) -> None:
        """Raises ValueError without good parts, and where the evidence is not finite."""
        good, bad = good_and_bad(examples)
        self._calibration = Calibration.of(self._evidence(good), self._evidence(bad))

    def _evidence(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """One number an example: the robust maximum of its evidence map. Raises NotFittedError before `fit`."""
        if not self._has_learned:
            raise NotFittedError(f"This {self.family} model has not been fitted yet.")
        raws = (self.engine.run([self.prepare(example.pixels)])[0] for example in examples)
        return np.array([robust_maximum(self.evidence_map(raw)) for raw in raws], dtype=np.float64)

    def _fitted_calibration(self) -> Calibration:
        if self._calibration is None:
            raise NotFittedError(f"This {self.family} model has not been fitted yet.")
        return self._calibration

    def _metadata(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What a kept state says beside its tensors; raises NotFittedError before `fit`."""
        return {
            "preprocessing": self.preprocessing,
            "options": dict(options),
            "calibration": self._fitted_calibration().as_json(),
        }

    def _take(self, state: State) -> None:
        """Preprocessing and calibration from a kept state; raises ValueError or KeyError if they do not fit."""
        if self.preprocessing != state.metadata["preprocessing"]:
            raise ValueError("The model was made with another preprocessing than this version has.")
        self._calibration = Calibration.from_json(state.metadata["calibration"])
        self._has_learned = True


def taught_and_held(
    examples: Sequence[Example], *, seed: int, family: str
) -> tuple[list[Example], list[Example]]:
    """Good parts to learn from, and parts for the calibration: a fifth of the good groups, and every bad part.

    Raises ValueError for fewer than 5 good parts.
    """
    good, bad = good_and_bad(examples)
    if len(good) < FEWEST_GOOD:
        raise ValueError(
            f"The family {family} needs at least {FEWEST_GOOD} good parts to learn from, not {len(good)}."
        )
    taught, held = hold_out(good, share=HELD_SHARE, most=MOST_HELD, seed=seed)
    return taught, [*held, *bad]


def load_weights(module: nn.Module, tensors: Mapping[str, NDArray[Any]], *, what: str) -> None:
    """Put kept arrays into a module of just this shape; raises ValueError if one is missing, odd or too many."""
    try:
        module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()})
    except RuntimeError as error:
        raise ValueError(f"The model's {what} does not fit its architecture: {error}") from error


def share_of(progress: Progress, *, start: float, end: float, doing: str) -> Progress:
    """Tell a whole of which this is a share from start to end."""
    return lambda fraction, detail: progress(start + (end - start) * fraction, f"{doing}: {detail}")
