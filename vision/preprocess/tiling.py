"""Large images at native resolution: cut into overlapping tiles of one size, and put the maps together again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.predictor import FloatMap, Image

How = Literal["blend", "maximum"]


@dataclass(frozen=True)
class Layout:
    """Where the tiles of an image lie: evenly spread, edge to edge, row by row. Four numbers say it all.

    height, width  of the image
    size           side of a tile; an image smaller than that is mirrored outwards until it fills one
    overlap        neighbours share at least so many pixels

    Raises ValueError for sizes that cannot be.
    """

    height: int
    width: int
    size: int
    overlap: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"An image of {self.height}x{self.width} pixels cannot be cut into tiles.")
        if not 0 <= self.overlap < self.size:
            raise ValueError(f"Tiles of {self.size} pixels cannot share {self.overlap}.")

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def rows(self) -> list[int]:
        """First row of each row of tiles, in padded pixels."""
        return _starts(self.height, self.size, self.overlap)

    @property
    def columns(self) -> list[int]:
        return _starts(self.width, self.size, self.overlap)

    @property
    def places(self) -> list[tuple[int, int]]:
        """First row and column of each tile, in padded pixels."""
        return [(row, column) for row in self.rows for column in self.columns]

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Pixels above, below, left and right that a small image is given."""
        high, wide = max(0, self.size - self.height), max(0, self.size - self.width)
        return high // 2, high - high // 2, wide // 2, wide - wide // 2


def tile(image: Image, size: int, overlap: int) -> tuple[Image, Layout]:
    """All tiles at once, NxSxSx3, and where they lie."""
    layout = Layout(image.shape[0], image.shape[1], size, overlap)
    return np.stack(list(tiles_of(image, layout))), layout


def tiles_of(image: NDArray[Any], layout: Layout) -> Iterator[NDArray[Any]]:
    """One tile after the other, each a view into the image: no more memory than the image itself.

    image  HxW or HxWxC of any type, as large as the layout says; a label or mask is cut as its picture is
    """
    if image.shape[:2] != (layout.height, layout.width):
        raise ValueError(
            f"The tiles were laid out for {layout.height}x{layout.width} pixels, not {image.shape[:2]}."
        )
    if any(layout.padding):
        top, below, left, right = layout.padding
        beyond = [(0, 0)] * (image.ndim - 2)
        image = np.pad(image, [(top, below), (left, right), *beyond], mode="reflect")
    for row, column in layout.places:
        yield image[row : row + layout.size, column : column + layout.size]


def stitch(maps: Iterable[FloatMap], layout: Layout, *, how: How = "blend") -> FloatMap:
    """The map of the whole image, HxW, from one map a tile in the layout's order (an array NxHxW, or one by one).

    maps  a map smaller than its tile is stretched over it
    how   blend: mean of the tiles that saw a pixel, weighted by a Hann window, so that no seam shows. What all of
          them say is kept; what one alone of k tiles says keeps at least 1/k where it lies nearest to that tile's
          centre. maximum: the highest of them, seams and all

    A NaN stays NaN. Raises ValueError unless there is one map a tile.
    """
    top, below, left, right = layout.padding
    shape = (layout.height + top + below, layout.width + left + right)
    window = _window(layout.size)
    total: FloatMap = np.zeros(shape, np.float32)
    weight: FloatMap = np.zeros(shape, np.float32)
    places = iter(layout.places)
    for each in maps:
        place = next(places, None)
        if place is None:
            raise ValueError(f"There are more maps than the {len(layout)} tiles.")
        inside = (slice(place[0], place[0] + layout.size), slice(place[1], place[1] + layout.size))
        full = _stretched(each, layout.size)
        if how == "maximum":
            np.maximum(total[inside], full, out=total[inside])  # of a number and NaN it keeps NaN
        else:
            total[inside] += full * window
            weight[inside] += window
    if next(places, None) is not None:
        raise ValueError(f"There are fewer maps than the {len(layout)} tiles.")
    if how == "blend":
        total /= weight
    return np.ascontiguousarray(total[top : top + layout.height, left : left + layout.width])


def _starts(length: int, size: int, overlap: int) -> list[int]:
    if length <= size:
        return [0]
    count = -(-(length - overlap) // (size - overlap))  # rounded up
    starts = [round(number * (length - size) / (count - 1)) for number in range(count)]
    assert all(0 < after - before <= size - overlap for before, after in pairwise(starts))
    return starts


def _window(size: int) -> FloatMap:
    """Hann over pixel centres, so that no weight is 0."""
    slope = np.sin(np.pi * (np.arange(size, dtype=np.float64) + 0.5) / size) ** 2
    return np.outer(slope, slope).astype(np.float32)


def _stretched(tile_map: FloatMap, size: int) -> FloatMap:
    if tile_map.ndim != 2 or tile_map.size == 0:
        raise ValueError(f"A tile's map is HxW and not empty, not {tile_map.shape}.")
    if tile_map.shape == (size, size):
        return tile_map
    stretched = cv2.resize(tile_map.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(stretched, np.float32)
