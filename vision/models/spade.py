"""SPADE: find the good parts that look most alike, then ask each cell for its best match among theirs.

Source: Cohen & Hoshen, Sub-Image Anomaly Detection with Deep Pyramid Correspondences (arXiv:2005.02357):
section 3.2 (the K nearest good images by pooled features), 3.3 (each pixel's distance to the nearest features of
a gallery of those K images) and 3.4 (features of several layers, put together).

Different from the paper, for speed: cells of a 28x28 grid instead of pixels, K = 10 instead of 50, and a gallery of
bounded size, filled with the good parts that differ most. The score is the map's robust maximum, as in every family
here, not the image's mean distance to its neighbours.

The network sees (and is exported); finding the neighbours is two matrix products after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from vision.models.backbone import Backbone, backbone_from_tensors, backbone_tensors, load_backbone
from vision.models.good_parts import EvidenceMap, GoodParts, taught_and_held
from vision.models.trunk import Trunk
from vision.options import read_options
from vision.predictor import Example, Progress, State
from vision.runtime.engine import Raw
from vision.staged import check_finite, tensors_under

LEVELS = (2, 4, 10, 14)  # 24 + 40 + 112 channels for the cells, 192 for the whole image
CELL_CHANNELS = (24, 40, 112)
POOLED_CHANNELS = 192
CELL_PX = 8
SMOOTHING_CELLS = 0.5  # the paper's 4 pixels


@dataclass(frozen=True)
class SpadeOptions:
    """What may be set.

    neighbours      good images that each image is compared with
    gallery_images  good images kept (.3 MB each at 224)
    input_px        side of the square that the whole image is brought to, a multiple of 32
    """

    neighbours: int = 10
    gallery_images: int = 200
    input_px: int = 224

    def __post_init__(self) -> None:
        if min(self.neighbours, self.gallery_images) < 1:
            raise ValueError("neighbours and gallery_images are at least 1.")
        if self.input_px < 64 or self.input_px % 32:
            raise ValueError(f"input_px is a multiple of 32 from 64 on, not {self.input_px}.")


class SpadeFeatures(nn.Module):
    """Batch Nx3xSxS -> cells Nx(S/8)^2x176 and pooled Nx192.

    scales  one factor a level, so that each level has the same say in a distance
    """

    scales: Tensor

    def __init__(self, backbone: Backbone, scales: Tensor) -> None:
        super().__init__()
        self.trunk = Trunk(backbone, levels=LEVELS)
        self.register_buffer("scales", scales)

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        fine, near, middle, far = self.trunk(batch)
        levels = (
            avg_pool2d(fine, kernel_size=2),
            near,
            interpolate(middle, size=near.shape[-2:], mode="bilinear"),
        )
        cells = torch.cat([level * self.scales[place] for place, level in enumerate(levels)], dim=1)
        return cells.flatten(2).transpose(1, 2).contiguous(), far.mean(dim=(2, 3))


class Spade(GoodParts):
    """Learns nothing by gradient: remembers good parts, and compares."""

    family: ClassVar[str] = "spade"

    def __init__(self, backbone: Backbone, *, device: str, options: SpadeOptions) -> None:
        super().__init__(
            SpadeFeatures(backbone, torch.ones(len(CELL_CHANNELS), device=device)), device=device
        )
        self._backbone = backbone
        self._options = options
        self._input_px = options.input_px
        self._gallery = torch.empty(0)  # MxGx176 float16: the cells of M good images
        self._pooled = torch.empty(0)  # Mx192

    @classmethod
    def new(cls, *, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Self:
        return cls(
            load_backbone(weights_folder=weights_folder, device=device),
            device=device,
            options=read_options(SpadeOptions, options),
        )

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Look at every good part once, keep those that differ most, and calibrate on parts that were kept out.

        A fifth of the good groups (at most 100 parts, drawn by seed) stays out of the gallery.

        Raises ValueError for fewer than 5 good parts.
        """
        taught, held = taught_and_held(examples, seed=seed, family=self.family)
        self.network = SpadeFeatures(self._backbone, torch.ones(len(CELL_CHANNELS), device=self.device))
        pooled = torch.empty(len(taught), POOLED_CHANNELS)
        spread = torch.zeros(len(CELL_CHANNELS), dtype=torch.float64)
        for number, example in enumerate(taught):
            cells, pooled[number] = self._look(example)
            spread += torch.stack(
                [level.var(dim=0).sum() for level in torch.split(cells.double(), list(CELL_CHANNELS), dim=1)]
            )
            progress(0.5 * (number + 1) / len(taught), f"Looked at {number + 1} of {len(taught)} good parts")
        scales = (spread / len(taught)).clamp_min(1e-12).rsqrt().float().to(self.device)
        self.network = SpadeFeatures(self._backbone, scales)

        kept = most_different(pooled, count=self._options.gallery_images)
        gallery = []
        for number, place in enumerate(kept):
            gallery.append(self._look(taught[place])[0].half())
            progress(0.5 + 0.4 * (number + 1) / len(kept), f"Kept {number + 1} of {len(kept)} good parts")
        self._remember(torch.stack(gallery), pooled[kept])
        progress(0.9, "Calibrating on parts that were kept out")
        self.calibrate(held)
        progress(1.0, "Fitted")

    @torch.inference_mode()
    def evidence_map(self, raw: Raw) -> EvidenceMap:
        cells, pooled = (torch.from_numpy(output[0]).to(self.device) for output in raw)
        # One image at a time, so that the bits cannot depend on the images beside it.
        apart = (self._pooled - pooled).square().sum(dim=1)
        nearest = apart.topk(min(self._options.neighbours, len(apart)), largest=False).indices
        best = torch.stack([_squared_distances(cells, self._gallery[place].float()) for place in nearest])
        distances = (best.amin(dim=0) + cells.square().sum(dim=1)).clamp_min(0).sqrt()
        grid = distances.reshape(self._input_px // CELL_PX, -1).cpu().numpy()
        return np.asarray(cv2.GaussianBlur(grid, (0, 0), SMOOTHING_CELLS), dtype=np.float32)

    def state(self) -> State:
        metadata = self._metadata(asdict(self._options))
        tensors = {f"backbone.{name}": value for name, value in backbone_tensors(self._backbone).items()}
        tensors["gallery"], tensors["pooled"] = self._gallery.cpu().numpy(), self._pooled.cpu().numpy()
        tensors["scales"] = self.network.get_buffer("scales").cpu().numpy()
        return State(tensors, metadata)

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        tensors, metadata = state
        check_finite(tensors)
        try:
            options = read_options(SpadeOptions, metadata["options"])
            backbone = backbone_from_tensors(tensors_under(tensors, prefix="backbone"), device=device)
            predictor = cls(backbone, device=device, options=options)
            scales = torch.from_numpy(np.array(tensors["scales"], dtype=np.float32))
            if scales.shape != (len(CELL_CHANNELS),):
                raise ValueError("The model's scales must be one number for each level.")
            predictor.network = SpadeFeatures(backbone, scales.to(device))
            predictor._remember(
                torch.from_numpy(np.array(tensors["gallery"])), torch.from_numpy(np.array(tensors["pooled"]))
            )
            predictor._take(state)
        except (KeyError, TypeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        return predictor

    def _remember(self, gallery: Tensor, pooled: Tensor) -> None:
        cells = (self._input_px // CELL_PX) ** 2
        if gallery.ndim != 3 or gallery.shape[0] == 0 or gallery.shape[1:] != (cells, sum(CELL_CHANNELS)):
            raise ValueError(
                f"The gallery must hold images of {cells} cells, {sum(CELL_CHANNELS)} numbers each."
            )
        if pooled.shape != (len(gallery), POOLED_CHANNELS):
            raise ValueError("The gallery must have 192 pooled numbers for each of its images.")
        gallery = gallery.to(self.device, torch.float16)  # a distance moves by 1e-3 of itself
        if not (bool(torch.isfinite(gallery).all()) and bool(torch.isfinite(pooled).all())):
            raise ValueError("The gallery holds numbers that are not finite.")
        self._gallery, self._pooled = gallery, pooled.to(self.device, torch.float32)
        self._has_learned = True

    @torch.inference_mode()
    def _look(self, example: Example) -> tuple[Tensor, Tensor]:
        """Cells Gx176 and pooled 192 of one part, on the CPU."""
        cells, pooled = self.engine.run([self.prepare(example.pixels)])[0]
        return torch.from_numpy(cells[0]), torch.from_numpy(pooled[0])


def _squared_distances(cells: Tensor, good: Tensor) -> Tensor:
    """From each of N cells to the nearest good one, less the cells' own |a|^2: |b|^2 - 2ab. NaN stays NaN."""
    return torch.addmm(good.square().sum(dim=1), cells, good.T, alpha=-2).amin(dim=1)


def most_different(rows: Tensor, *, count: int) -> list[int]:
    """Which rows to keep, in rising order: from the first on, each time the one farthest from all kept so far."""
    if len(rows) <= count:
        return list(range(len(rows)))
    kept = [0]
    farthest = (rows - rows[0]).square().sum(dim=1)
    while len(kept) < count:
        kept.append(int(farthest.argmax()))
        farthest = torch.minimum(farthest, (rows - rows[kept[-1]]).square().sum(dim=1))
    return sorted(kept)
