"""PatchCore on EfficientNet-Lite0: how far is each patch from the nearest good patch ever seen?

Source: Roth et al., Towards Total Recall in Industrial Anomaly Detection (arXiv:2106.08265), sections 3.1-3.3:
locally aware patch features, greedy coreset, distance to the nearest neighbour in the memory bank.

Three views of a part (option `view`):
square      the whole image stretched to 224x224, blocks 4 and 10: fine cells, small defects on plain surfaces
true_shape  the image's aspect and one scale for all, each image at the same brightness and contrast, and deeper
            blocks (7, 10, 14): made for parts of several shapes and changing light. A fit and a look take about three
            times as long
tiles       the image at native resolution, cut into tiles that are each looked at as the square view looks at the
            whole: for large pictures with small defects. Time and memory grow with the picture

A part type that may lie either way round is known better from its good parts' mirror images as well (option
`mirrored`; docs/accuracy.md says what that is worth). Where the way round matters, a part that lies wrongly would pass.

It learns from good parts only. Graded bad parts, if there are enough, set the line from distance to probability.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vision.holdout import hold_out
from vision.maps import robust_maximum
from vision.models.backbone import Backbone, backbone_from_tensors, backbone_tensors, load_backbone
from vision.models.calibration import Calibration
from vision.models.canvas import MOST_PX, STEP_PX
from vision.models.coreset import greedy_coreset, squared_distances
from vision.models.patch_views import INPUT_PX, VIEWS, Patches, TrueShapeView, View, new_view, view_from
from vision.options import read_options
from vision.predictor import (
    Example,
    Image,
    NotFittedError,
    Prediction,
    Progress,
    State,
    good_and_bad,
)
from vision.runtime.batches import TILES_A_CALL
from vision.runtime.engine import Raw, Tiles
from vision.staged import Staged, tensors_under

POOL_SIZE = 40_000  # patches the coreset chooses from; bounds memory and time whatever the number of images
MIRRORED_POOL_SIZE = 80_000
# The axes that a good part is mirrored along, each by itself.
MIRRORS: dict[str, tuple[int, ...]] = {"no": (), "left_right": (1,), "top_bottom": (0,), "both": (1, 0)}


@dataclass(frozen=True)
class PatchCoreOptions:
    """What one may set.

    bank_size  good patches kept; the time of a look grows with it
    view       square | true_shape | tiles
    input_px   true_shape only: side of the square with as many pixels as the median image gets
    mirrored   learn each good part as it lies and mirrored too: no | left_right | top_bottom | both (each by itself)
    """

    bank_size: int = 2000
    view: str = "square"
    input_px: int = INPUT_PX
    mirrored: str = "no"

    def __post_init__(self) -> None:
        if self.bank_size < 1:
            raise ValueError(f"bank_size is at least 1, not {self.bank_size}.")
        if self.view not in VIEWS:
            raise ValueError(f"view is one of {', '.join(VIEWS)}, not {self.view!r}.")
        if self.mirrored not in MIRRORS:
            raise ValueError(f"mirrored is one of {', '.join(MIRRORS)}, not {self.mirrored!r}.")
        if not STEP_PX <= self.input_px <= MOST_PX:
            raise ValueError(f"input_px lies between {STEP_PX} and {MOST_PX}, not at {self.input_px}.")
        if self.view != TrueShapeView.name and self.input_px != INPUT_PX:
            raise ValueError(f"The {self.view} view has {INPUT_PX} pixels; input_px is for true_shape.")


class PatchDistances(nn.Module):
    """Batch -> NxRxC, one number a cell: distance of its patch to the nearest row of the bank."""

    bank: Tensor
    bank_norms: Tensor

    def __init__(self, patches: Patches, bank: Tensor) -> None:
        super().__init__()
        self.patches = patches
        self.register_buffer("bank", bank)
        self.register_buffer("bank_norms", (bank * bank).sum(dim=1))

    def forward(self, batch: Tensor) -> tuple[Tensor]:
        seen = self.patches(batch)
        found = squared_distances(seen.flatten(1, 2), self.bank, self.bank_norms)
        return (found.sqrt().reshape(seen.shape[:3]),)


class PatchCore(Staged):
    """The default family of a new line: needs nothing but good parts."""

    family: ClassVar[str] = "patchcore"

    def __init__(
        self, backbone: Backbone, *, device: str, options: PatchCoreOptions, view: View | None = None
    ) -> None:
        super().__init__(backbone, device=device)
        self._backbone = backbone
        self._options = options
        self._view = view or new_view(options.view, backbone, input_px=options.input_px)
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
        """For true_shape the canvas too, once the good parts have told how large it must be."""
        return self._view.preprocessing

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Calibrate on a fifth of the good groups and the bad parts, then build the memory bank from all good parts.

        The kept-out parts (at most 100, drawn by seed) are judged by a bank that has not seen them. Then they join:
        a bank without them knows fewer good parts (docs/accuracy.md has what that costs). The final bank is a little
        closer to every part than the one that drew the line, so scores come out a little lower than calibrated.

        Raises ValueError for fewer than 5 good parts.
        """
        good, bad = good_and_bad(examples)
        if len(good) < 5:
            raise ValueError(f"PatchCore needs at least 5 good parts to learn from, not {len(good)}.")
        taught, held = hold_out(good, share=0.2, most=100, seed=seed)
        rng = np.random.default_rng(seed)
        mirrors = MIRRORS[self._options.mirrored]
        pool_size = MIRRORED_POOL_SIZE if mirrors else POOL_SIZE
        per_look = max(1, pool_size // (len(good) * (1 + len(mirrors))))
        self._view.learn([(example.pixels.shape[0], example.pixels.shape[1]) for example in good])
        pool = []
        for number, example in enumerate([*taught, *held], start=1):
            looks = [example.pixels, *(np.flip(example.pixels, axis) for axis in mirrors)]
            drawn = []
            for look in looks:
                rows = self._rows(np.ascontiguousarray(look))
                drawn.append(rows[torch.from_numpy(rng.permutation(len(rows))[:per_look]).to(self.device)])
            pool.append(torch.cat(drawn))
            progress(0.7 * number / len(good), f"Looked at {number} of {len(good)} good parts")
        progress(0.7, "Calibrating on parts that were kept out")
        self._choose_bank(torch.cat(pool[: len(taught)])[:pool_size], seed=seed)
        self.calibrate([*held, *bad])
        progress(0.9, "Choosing the memory bank")
        self._choose_bank(torch.cat(pool)[:pool_size], seed=seed)
        progress(1.0, "Fitted")

    def calibrate(self, examples: Sequence[Example]) -> None:
        """Raises ValueError without good parts, and where the evidence is not finite."""
        good, bad = good_and_bad(examples)
        self._calibration = Calibration.of(self._evidence(good), self._evidence(bad))

    def prepare(self, image: Image) -> Tiles:
        return self._view.prepare(image)

    def finish(self, raw: Raw, *, height: int, width: int) -> Prediction:
        calibration = self._fitted_calibration()
        distances = self._view.map_of(raw[0], height=height, width=width)
        score = calibration.probability(robust_maximum(distances))
        return Prediction(float(score), calibration.probability(distances).astype(np.float32))

    def state(self) -> State:
        if self._bank is None:
            raise NotFittedError("This PatchCore has not been fitted yet.")
        tensors = {f"backbone.{name}": value for name, value in backbone_tensors(self._backbone).items()}
        tensors["bank"] = self._bank.cpu().numpy()
        calibration = self._fitted_calibration().as_json()
        metadata = {"preprocessing": self.preprocessing, "calibration": calibration}
        return State(tensors, metadata)

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        tensors, metadata = state
        try:
            backbone = backbone_from_tensors(tensors_under(tensors, prefix="backbone"), device=device)
            bank = torch.from_numpy(np.array(tensors["bank"]))
            view = view_from(metadata["preprocessing"], backbone)
            options = PatchCoreOptions(bank_size=max(1, len(bank)), view=view.name)
            predictor = cls(backbone, device=device, options=options, view=view)
            predictor._set_bank(bank)
            predictor._calibration = Calibration.from_json(metadata["calibration"])
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        return predictor

    def _choose_bank(self, rows: Tensor, *, seed: int) -> None:
        self._set_bank(greedy_coreset(rows, size=self._options.bank_size, seed=seed))

    def _set_bank(self, bank: Tensor) -> None:
        if (
            bank.ndim != 2
            or bank.shape[1] != self._view.patches.channels
            or len(bank) == 0
            or not bool(torch.isfinite(bank).all())
        ):
            raise ValueError(f"The memory bank must be finite rows of {self._view.patches.channels} numbers.")
        self._bank = bank.to(self.device, torch.float32).contiguous()
        self.network = PatchDistances(self._view.patches, self._bank)

    def _fitted_calibration(self) -> Calibration:
        if self._calibration is None:
            raise NotFittedError("This PatchCore has not been fitted yet.")
        return self._calibration

    def _evidence(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """The robust maximum of the distances of each picture; raises NotFittedError before `fit`."""
        if self._bank is None:
            raise NotFittedError("This PatchCore has not been fitted yet.")
        worst = []
        for example in examples:
            (raw,) = self.engine.run([self.prepare(example.pixels)])
            height, width = example.pixels.shape[:2]
            worst.append(robust_maximum(self._view.map_of(raw[0], height=height, width=width)))
        return np.array(worst, dtype=np.float64)

    @torch.inference_mode()
    def _rows(self, image: Image) -> Tensor:
        """NxC, one row for each cell of the image."""
        tiles = torch.from_numpy(self.prepare(image)).to(self.device)
        seen = [
            self._view.patches(batch.contiguous(memory_format=torch.channels_last))
            for batch in torch.split(tiles, TILES_A_CALL)
        ]
        return self._view.rows(torch.cat(seen), height=image.shape[0], width=image.shape[1])
