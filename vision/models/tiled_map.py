"""What the families share that look at painted defects in tiles at native resolution, and stitch one map of the answers."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import nn

from vision.maps import robust_maximum
from vision.models.calibration import Calibration
from vision.predictor import (
    Example,
    FloatMap,
    Image,
    Mask,
    NotFittedError,
    Prediction,
    check_image,
    good_and_bad,
)
from vision.preprocess.tiling import Layout, stitch, tiles_of
from vision.runtime.engine import Raw, Tiles
from vision.staged import Staged


class TileOptions(Protocol):
    """tile_px: side of a tile; overlap_px: shared by neighbours; scale: pictures are scaled by this first."""

    @property
    def tile_px(self) -> int: ...
    @property
    def overlap_px(self) -> int: ...
    @property
    def scale(self) -> float: ...


class TiledMap(Staged):
    """Tiles TxCxSxS -> logits TxRxR; the score is the mean of the map's worst cells, by one line to a probability.

    cell_px  side of a cell of the map, in pixels of a tile
    worst    cells that make the score
    """

    cell_px: ClassVar[int]
    worst: ClassVar[int]

    def __init__(self, network: nn.Module, *, device: str, tiles: TileOptions) -> None:
        super().__init__(network.to(device), device=device)
        self._tiles = tiles
        self._has_learned = False
        self._calibration: Calibration | None = None

    @abstractmethod
    def light(self, picture: Image) -> FloatMap:
        """The scaled picture as the network wants it, HxWx3."""

    def cut(self, picture: NDArray[Any], layout: Layout) -> Iterator[NDArray[Any]]:
        """The tiles of a scaled picture or mask; one smaller than a tile is mirrored outwards."""
        return tiles_of(picture, layout)

    def calibrate(self, examples: Sequence[Example]) -> None:
        """Raises ValueError without good parts, and where the evidence is not finite."""
        good, bad = good_and_bad(examples)
        self._calibration = Calibration.of(self._evidence(good), self._evidence(bad))

    def prepare(self, image: Image) -> Tiles:
        check_image(image)
        seen = self.light(self._picture(image))
        tiles = np.stack(list(self.cut(seen, self._layout(*image.shape[:2]))))
        return np.ascontiguousarray(tiles.transpose(0, 3, 1, 2))

    def finish(self, raw: Raw, *, height: int, width: int) -> Prediction:
        calibration = self._fitted()
        cells = self._cells(raw, height=height, width=width)
        score = calibration.probability(robust_maximum(cells, worst=self.worst))
        return Prediction(float(score), calibration.probability(cells).astype(np.float32))

    def _fitted(self) -> Calibration:
        if self._calibration is None:
            raise NotFittedError(f"This {self.family} model has not been fitted yet.")
        return self._calibration

    def _evidence(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """One number an example. Raises NotFittedError before `fit`."""
        if not self._has_learned:
            raise NotFittedError(f"This {self.family} model has not been fitted yet.")
        found = []
        for example in examples:
            raw = self.engine.run([self.prepare(example.pixels)])[0]
            height, width = example.pixels.shape[:2]
            found.append(robust_maximum(self._cells(raw, height=height, width=width), worst=self.worst))
        return np.array(found, dtype=np.float64)

    def _cells(self, raw: Raw, *, height: int, width: int) -> FloatMap:
        """The tiles' logits as one map of the whole image, a cell for about cell_px x cell_px pixels."""
        layout = self._layout(height, width)
        whole = stitch(raw[0], layout)
        shape = (-(-layout.width // self.cell_px), -(-layout.height // self.cell_px))
        return np.asarray(cv2.resize(whole, shape, interpolation=cv2.INTER_AREA), np.float32)

    def _layout(self, height: int, width: int) -> Layout:
        scale = self._tiles.scale
        return Layout(
            max(1, round(height * scale)),
            max(1, round(width * scale)),
            self._tiles.tile_px,
            self._tiles.overlap_px,
        )

    def _picture(self, image: Image) -> Image:
        """At the wanted scale."""
        layout = self._layout(*image.shape[:2])
        if (layout.height, layout.width) != image.shape[:2]:
            smaller = self._tiles.scale < 1
            how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, (layout.width, layout.height), interpolation=how), np.uint8)
        return image

    def _mask(self, mask: Mask, picture: Image) -> Mask:
        """As large as the scaled picture; a crack keeps its pixel whatever share of it is painted."""
        if mask.shape == picture.shape[:2]:
            return mask
        area = cv2.resize(mask.astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(area > 0, np.bool_)


def check_tiles(options: TileOptions, *, step_px: int) -> None:
    """Raises ValueError with a sentence; step_px is the deepest level of the network."""
    if options.tile_px < 2 * step_px or options.tile_px % step_px:
        raise ValueError(f"tile_px is a multiple of {step_px} from {2 * step_px} on, not {options.tile_px}.")
    if not 0 <= options.overlap_px <= options.tile_px // 2:
        raise ValueError(f"overlap_px lies between 0 and half a tile, not at {options.overlap_px}.")
    if not 0.05 <= options.scale <= 4:
        raise ValueError(f"scale lies between 0.05 and 4, not at {options.scale}.")
