"""Cells: painted defects, cell by cell, by a small head on the frozen backbone at native resolution.

For parts of which few bad ones are painted: where a U-Net would learn them by heart, this one learns a few thousand
numbers (docs/accuracy.md compares them). Every picture is brought to one contrast, whatever the exposure, cut into
overlapping tiles, and seen at four depths in cells of 16x16 pixels; what is smaller than a cell shows in the maximum of
the finest depth.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from vision.models.backbone import Backbone, load_backbone
from vision.models.calibration import Calibration
from vision.models.cells_head import WORST_CELLS, CellHead, Seen, taught_head
from vision.models.classifier import empty_backbone
from vision.models.tiled_map import TiledMap, check_tiles
from vision.models.trunk import Trunk
from vision.models.unet import check_painted, kept_out
from vision.options import read_options
from vision.predictor import Example, FloatMap, Image, Progress, State
from vision.preprocess.tiling import Layout, tiles_of
from vision.runtime.batches import TILES_A_CALL
from vision.staged import check_finite, module_tensors, tensors_under

LEVELS = (4, 7, 10, 14)
CHANNELS = 464  # 40 twice, 80, 112, 192
CELL_PX = 16
STRIDE_PX = 32  # the deepest level
CONTRAST = 0.4  # standard deviation of every picture: about that of photographs in -1..1
WEAKEST_CONTRAST = 1.0  # grey levels: a picture of nothing is not blown up to noise
MOST_CELLS = 1_000_000  # remembered while it learns, 0.9 GB; of more, some of every picture


@dataclass(frozen=True)
class CellsOptions:
    """What may be set.

    tile_px     side of a tile, a multiple of 32
    overlap_px  neighbouring tiles share at least so many pixels
    scale       pictures are scaled by this first; 1 is native
    steps       of the head's learning
    held_share  of the groups that draw the line from evidence to probability before they teach too; 0: the line is drawn
                from what it learned from, which flatters, until `calibrate` is called
    """

    tile_px: int = 384
    overlap_px: int = 64
    scale: float = 1.0
    steps: int = 600
    held_share: float = 0.2

    def __post_init__(self) -> None:
        check_tiles(self, step_px=STRIDE_PX)
        if self.steps < 1 or not 0 <= self.held_share <= 0.5:
            raise ValueError("steps is at least 1, held_share lies between 0 and 0.5.")


class CellsNetwork(nn.Module):
    """Batch Nx3xSxS -> N x S/16 x S/16 logits of "defect here"."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.trunk = Trunk(backbone, levels=LEVELS)
        self.head = CellHead(CHANNELS).eval().requires_grad_(requires_grad=False)

    def forward(self, batch: Tensor) -> tuple[Tensor]:
        return (self.head(self.seen(batch)),)

    def seen(self, batch: Tensor) -> Tensor:
        """N x S/16 x S/16 x 464."""
        near, *middle, far = self.trunk(batch)
        levels = [avg_pool2d(near, 2), max_pool2d(near, 2), *middle]
        levels.append(interpolate(far, scale_factor=STRIDE_PX / CELL_PX, mode="bilinear"))
        return torch.cat(levels, dim=1).permute(0, 2, 3, 1)


class Cells(TiledMap):
    """For parts whose defects somebody painted, on few of them."""

    family: ClassVar[str] = "cells"
    cell_px: ClassVar[int] = CELL_PX
    worst: ClassVar[int] = WORST_CELLS

    def __init__(self, backbone: Backbone, options: CellsOptions, *, device: str) -> None:
        super().__init__(CellsNetwork(backbone), device=device, tiles=options)
        self._backbone, self._options = backbone, options

    @classmethod
    def new(cls, *, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Self:
        read = read_options(CellsOptions, options)
        return cls(load_backbone(weights_folder=weights_folder, device=device), read, device=device)

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {
            "colour": "RGB",
            "tile_px": self._options.tile_px,
            "overlap_px": self._options.overlap_px,
            "scale": self._options.scale,
            "contrast": CONTRAST,
            "beside": "mean grey",
        }

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Draw the line with a head that has not seen the kept-out groups; then all teach the head.

        Raises ValueError for fewer than 5 good parts or 3 painted ones.
        """
        good, painted, unpainted = check_painted(examples, family=self.family)
        taught, held = kept_out(good, painted, share=self._options.held_share, seed=seed)
        pictures = []
        most = max(1, MOST_CELLS // (len(taught) + len(held)))
        rng = np.random.default_rng(seed)
        for number, example in enumerate([*taught, *held]):
            pictures.append(self.seen(example, name=f"#{number}", most=most, rng=rng))
            if number % 20 == 0:
                progress(0.5 * number / len(examples), f"Looked at {number} of {len(examples)} parts")
        self._learn(pictures[: len(taught)], seed=seed, progress=_share(progress, 0.5, 0.7))
        progress(0.7, f"Calibrating on {len(held or taught) + len(unpainted)} parts")
        self.calibrate([*(held or taught), *unpainted])
        if held:
            self._learn(pictures, seed=seed, progress=_share(progress, 0.75, 1.0))
        progress(1.0, "Fitted")

    @torch.inference_mode()
    def seen(self, example: Example, *, name: str, most: int, rng: np.random.Generator) -> Seen:
        """What the head learns from one picture.

        name  of the part, where the example has no group
        most  cells; of more, half of the painted ones at most and others by chance
        """
        network = self.network
        assert isinstance(network, CellsNetwork)
        tiles = torch.from_numpy(self.prepare(example.pixels)).to(self.device)
        cells = torch.cat([network.seen(each) for each in torch.split(tiles, TILES_A_CALL)]).flatten(0, 2)
        painted = np.zeros(len(cells), np.bool_)
        if example.is_bad and example.mask is not None:
            mask = self._mask(example.mask, self._picture(example.pixels)).astype(np.float32)
            cut = np.stack(list(self.cut(mask, self._layout(*example.pixels.shape[:2]))))
            painted = max_pool2d(torch.from_numpy(cut), CELL_PX).flatten().numpy() > 0
        kept = np.arange(len(cells))
        if len(cells) > most:
            first = rng.permutation(np.flatnonzero(painted))[: most // 2]
            others = rng.permutation(np.flatnonzero(~painted))[: most - len(first)]
            kept = np.sort(np.concatenate([first, others]))
        rows = cells[torch.from_numpy(kept).to(self.device)].half().cpu().numpy()
        return Seen(rows, painted[kept], example.is_bad, example.group or name)

    def light(self, picture: Image) -> FloatMap:
        pixels = picture.astype(np.float32)
        spread = max(float(pixels.std(dtype=np.float64)), WEAKEST_CONTRAST)
        middle = np.float32(pixels.mean(dtype=np.float64))
        return np.asarray((pixels - middle) * np.float32(CONTRAST / spread), np.float32)

    def cut(self, picture: NDArray[Any], layout: Layout) -> Iterator[NDArray[Any]]:
        """Beside a small picture lies its mean grey: mirrored defects and edges would teach what no part has."""
        top, below, left, right = layout.padding
        beyond = [(0, 0)] * (picture.ndim - 2)
        filled = np.pad(picture, [(top, below), (left, right), *beyond])
        return tiles_of(filled, Layout(filled.shape[0], filled.shape[1], layout.size, layout.overlap))

    def state(self) -> State:
        metadata = {
            "preprocessing": self.preprocessing,
            "options": asdict(self._options),
            "calibration": self._fitted().as_json(),
        }
        return State(module_tensors(self.network, prefix="network"), metadata)

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        try:
            options = read_options(CellsOptions, state.metadata["options"])
            predictor = cls(empty_backbone(), options, device=device)
            if predictor.preprocessing != state.metadata["preprocessing"]:
                raise ValueError("The model was made with another preprocessing than this version has.")
            tensors = tensors_under(state.tensors, prefix="network")
            check_finite(tensors)
            network = predictor.network
            network.load_state_dict({key: torch.from_numpy(np.array(each)) for key, each in tensors.items()})
            predictor._calibration = Calibration.from_json(state.metadata["calibration"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        except RuntimeError as error:
            raise ValueError(f"The model's network does not fit its architecture: {error}") from error
        predictor.network = network.to(device)  # a fresh engine for the new weights
        predictor._has_learned = True
        return predictor

    def _learn(self, pictures: Sequence[Seen], *, seed: int, progress: Progress) -> None:
        network = CellsNetwork(self._backbone)
        head = taught_head(pictures, steps=self._options.steps, seed=seed, progress=progress)
        network.head.load_state_dict(head.state_dict())
        self.network = network.to(self.device)
        self._has_learned = True


def _share(progress: Progress, start: float, end: float) -> Progress:
    return lambda fraction, doing: progress(start + (end - start) * fraction, doing)
