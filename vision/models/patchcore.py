"""PatchCore on EfficientNet-Lite0: how far is each patch from the nearest good patch ever seen?

Source: Roth et al., Towards Total Recall in Industrial Anomaly Detection (arXiv:2106.08265), sections 3.1-3.3:
locally aware patch features, greedy coreset, distance to the nearest neighbour in the memory bank.

It learns from good parts only. Graded bad parts, if there are enough, set the line from distance to probability.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vision.holdout import hold_out
from vision.maps import robust_maximum
from vision.models.backbone import (
    PATCH_CHANNELS,
    Backbone,
    backbone_from_tensors,
    backbone_tensors,
    load_backbone,
)
from vision.models.calibration import Calibration
from vision.models.coreset import greedy_coreset, squared_distances
from vision.options import read_options
from vision.predictor import (
    Example,
    Image,
    NotFittedError,
    Prediction,
    Progress,
    State,
    check_image,
    good_and_bad,
)
from vision.runtime.engine import Raw, Tiles
from vision.staged import Staged, tensors_under

INPUT_PX = 224
GRID = 28
POOL_SIZE = 40_000  # patches the coreset chooses from; bounds memory and time whatever the number of images


@dataclass(frozen=True)
class PatchCoreOptions:
    """bank_size: good patches kept; the time of a look grows with it."""

    bank_size: int = 2000

    def __post_init__(self) -> None:
        if self.bank_size < 1:
            raise ValueError(f"bank_size is at least 1, not {self.bank_size}.")


class PatchDistances(nn.Module):
    """Batch Nx3x224x224 -> Nx28x28: distance of each cell's patch to the nearest row of the bank."""

    bank: Tensor
    bank_norms: Tensor

    def __init__(self, backbone: Backbone, bank: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("bank", bank)
        self.register_buffer("bank_norms", (bank * bank).sum(dim=1))

    def forward(self, batch: Tensor) -> tuple[Tensor]:
        patches = self.backbone(batch).patches
        return (squared_distances(patches, self.bank, self.bank_norms).sqrt().reshape(-1, GRID, GRID),)


class PatchCore(Staged):
    """The default family of a new line: needs nothing but good parts."""

    family: ClassVar[str] = "patchcore"

    def __init__(self, backbone: Backbone, *, device: str, options: PatchCoreOptions) -> None:
        super().__init__(backbone, device=device)
        self._backbone = backbone
        self._options = options
        self._bank: Tensor | None = None
        self._calibration: Calibration | None = None

    @classmethod
    def new(cls, *, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Self:
        return cls(
            load_backbone(weights_folder=weights_folder, device=device),
            device=device,
            options=read_options(PatchCoreOptions, options),
        )

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {
            "colour": "RGB",
            "input_px": [INPUT_PX, INPUT_PX],
            "resize": "area, whole image, aspect not kept",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
        }

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Build the memory bank from good parts, and a first calibration from those kept out and the bad ones.

        A fifth of the good groups (at most 100 parts, drawn by seed) stays out of the bank and calibrates it.

        Raises ValueError for fewer than 5 good parts.
        """
        good, bad = good_and_bad(examples)
        if len(good) < 5:
            raise ValueError(f"PatchCore needs at least 5 good parts to learn from, not {len(good)}.")
        taught, held = hold_out(good, share=0.2, most=100, seed=seed)
        rng = np.random.default_rng(seed)
        per_image = max(1, min(GRID * GRID, POOL_SIZE // len(taught)))
        pool = []
        for number, example in enumerate(taught, start=1):
            chosen = torch.from_numpy(rng.permutation(GRID * GRID)[:per_image]).to(self.device)
            pool.append(self._patches(example.pixels)[chosen])
            progress(0.8 * number / len(taught), f"Looked at {number} of {len(taught)} good parts")
        progress(0.8, "Choosing the memory bank")
        self._set_bank(greedy_coreset(torch.cat(pool)[:POOL_SIZE], size=self._options.bank_size, seed=seed))
        progress(0.9, "Calibrating on parts that were kept out")
        self.calibrate([*held, *bad])
        progress(1.0, "Fitted")

    def calibrate(self, examples: Sequence[Example]) -> None:
        """Raises ValueError without good parts, and where the evidence is not finite."""
        good, bad = good_and_bad(examples)
        self._calibration = Calibration.of(self._evidence(good), self._evidence(bad))

    def prepare(self, image: Image) -> Tiles:
        return prepare(image).transpose(2, 0, 1)[None]

    def finish(self, raw: Raw, *, height: int, width: int) -> Prediction:
        calibration = self._fitted_calibration()
        distances = raw[0][0]
        score = calibration.probability(robust_maximum(distances))
        return Prediction(float(score), calibration.probability(distances).astype(np.float32))

    def state(self) -> State:
        if self._bank is None:
            raise NotFittedError("This PatchCore has not been fitted yet.")
        tensors = {f"backbone.{name}": value for name, value in backbone_tensors(self._backbone).items()}
        tensors["bank"] = self._bank.cpu().numpy()
        calibration = self._fitted_calibration().as_json()
        return State(tensors, {"preprocessing": self.preprocessing, "calibration": calibration})

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        tensors, metadata = state
        try:
            backbone = backbone_from_tensors(tensors_under(tensors, prefix="backbone"), device=device)
            bank = torch.from_numpy(np.array(tensors["bank"]))
            predictor = cls(backbone, device=device, options=PatchCoreOptions(bank_size=max(1, len(bank))))
            if predictor.preprocessing != metadata["preprocessing"]:
                raise ValueError("The model was made with another preprocessing than this version has.")
            predictor._set_bank(bank)
            predictor._calibration = Calibration.from_json(metadata["calibration"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        return predictor

    def _set_bank(self, bank: Tensor) -> None:
        if (
            bank.ndim != 2
            or bank.shape[1] != PATCH_CHANNELS
            or len(bank) == 0
            or not bool(torch.isfinite(bank).all())
        ):
            raise ValueError("The memory bank must be finite rows of 152 numbers.")
        self._bank = bank.to(self.device, torch.float32).contiguous()
        self.network = PatchDistances(self._backbone, self._bank)

    def _fitted_calibration(self) -> Calibration:
        if self._calibration is None:
            raise NotFittedError("This PatchCore has not been fitted yet.")
        return self._calibration

    def _evidence(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """The robust maximum of the distances of each picture; raises NotFittedError before `fit`."""
        if self._bank is None:
            raise NotFittedError("This PatchCore has not been fitted yet.")
        raws = (self.engine.run([self.prepare(example.pixels)])[0] for example in examples)
        return np.array([robust_maximum(raw[0][0]) for raw in raws], dtype=np.float64)

    @torch.inference_mode()
    def _patches(self, image: Image) -> Tensor:
        """784x152, one row a cell."""
        batch = torch.from_numpy(self.prepare(image)).to(self.device)
        patches: Tensor = self._backbone(batch.contiguous(memory_format=torch.channels_last)).patches
        return patches[0]


def prepare(image: Image) -> NDArray[np.float32]:
    """Resize the whole image to 224x224 and normalise to -1..1."""
    check_image(image)
    small = cv2.resize(image, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)
    return (small.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)
