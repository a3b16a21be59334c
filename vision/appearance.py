"""What a part looks like, as one point in a space where parts with alike defects lie near each other.

A point is what the packaged network sees of the whole picture and of the spot that the defect map points at, each
pooled, brought to unit length and laid side by side. docs/accuracy.md ("Precedents by appearance") has what that is
worth against either half alone. This module needs neither torch nor ONNX Runtime: `vision.appearance_network` does.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.predictor import FloatMap, Image, check_image
from vision.runtime.engine import Tiles

SPACE = "lite0-whole+peak/1"  # whoever changes what a vector is changes this name: old ones are made anew
INPUT_PX = 224
POOLED = 384  # mean and maximum of the network's last map
LENGTH = 2 * POOLED
CROP_SHARE = 0.4  # of the picture's shorter side
MAP_CELLS = 28.0  # the map is smoothed by one cell of this many to its longest side: one odd pixel is no spot
# 99 of 100 pairs of different parts are less alike (magnetic_tile, both halves: .941 and .935; docs/accuracy.md).
ALIKE_FROM = 0.94
FEWEST_PARTS = 30  # below which a line's own pairs say nothing

Vectors = NDArray[np.float32]  # NxLENGTH, each row of unit length


class Picture(NamedTuple):
    """A picture and where the model suspects a defect; None where nobody knows."""

    pixels: Image
    defect_map: FloatMap | None = None


class Neighbours(NamedTuple):
    """Rows of the searched vectors and how alike they are (-1..1), the most alike first."""

    rows: NDArray[np.intp]
    similarities: NDArray[np.float32]


def tiles_of(picture: Picture) -> Tiles:
    """The whole picture and the crop at the map's peak, 2x3x224x224 in -1..1; without a peak the whole alone.

    Only views of the picture are cut and shrunk: nothing as large as the picture is copied.
    """
    check_image(picture.pixels)
    looks = [picture.pixels]
    peak = peak_of(picture.defect_map) if picture.defect_map is not None else None
    if peak is not None:
        looks.append(crop_at(picture.pixels, peak))
    return np.stack([_tile(look) for look in looks])


def peak_of(defect_map: FloatMap) -> tuple[float, float] | None:
    """Where the map is highest, as shares of its height and width; None for a flat map.

    Raises ValueError if the map is empty or holds NaN.
    """
    if defect_map.ndim != 2 or defect_map.size == 0 or not np.isfinite(defect_map).all():
        raise ValueError(f"A defect map is HxW, not empty and finite, not {defect_map.shape}.")
    if float(defect_map.max()) == float(defect_map.min()):
        return None
    smooth = cv2.GaussianBlur(defect_map, (0, 0), max(defect_map.shape) / MAP_CELLS)
    row, column = np.unravel_index(int(np.argmax(smooth)), defect_map.shape)
    return (float(row) + 0.5) / defect_map.shape[0], (float(column) + 0.5) / defect_map.shape[1]


def crop_at(image: Image, peak: tuple[float, float]) -> Image:
    """The square around the peak, moved inside the picture where it would reach over its edge."""
    height, width = image.shape[:2]
    side = max(1, round(CROP_SHARE * min(height, width)))
    top = int(np.clip(round(peak[0] * height - side / 2), 0, height - side))
    left = int(np.clip(round(peak[1] * width - side / 2), 0, width - side))
    return image[top : top + side, left : left + side]


def joined(pooled: NDArray[np.float32]) -> Vectors:
    """What the network pooled of one picture's tiles, (1 or 2)x384, as one vector; the whole stands for a missing peak.

    Raises ValueError where the arithmetic broke down: such a part is like no other.
    """
    halves = pooled[[0, -1]].astype(np.float64)
    lengths = np.linalg.norm(halves, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise ValueError("The network's answer is not finite.")
    vector = (halves / lengths).ravel() / np.sqrt(2.0)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def nearest(query: Vectors, vectors: Vectors, k: int) -> Neighbours:
    """The k most alike rows by cosine, exactly; of equals the earlier row first. Fewer rows give fewer."""
    if len(vectors) == 0 or k < 1:
        return Neighbours(np.zeros(0, np.intp), np.zeros(0, np.float32))
    alike = vectors @ query
    few = np.arange(len(vectors))
    if k < len(vectors):
        kth = alike[np.argpartition(-alike, k - 1)[:k]].min()
        few = np.flatnonzero(alike >= kth)  # all that equal the k-th, so that the earlier row wins
    order = few[np.argsort(-alike[few], kind="stable")][:k]
    return Neighbours(order, np.asarray(alike[order], np.float32))


def alike_from(vectors: Vectors, bodies: NDArray[np.intp]) -> float:
    """From which similarity on two parts are unusually alike: 99 of 100 pairs of different parts are less.

    A line whose parts all look the same has a higher limit than one whose parts vary, so it is taken from its own
    parts; of fewer than 30 of them ALIKE_FROM stands.

    bodies  one number a row; rows of the same number show the same physical part and are no pair
    """
    if len(np.unique(bodies)) < FEWEST_PARTS:
        return ALIKE_FROM
    first, second = np.triu_indices(len(vectors), 1)
    differ = bodies[first] != bodies[second]
    return float(np.quantile((vectors @ vectors.T)[first[differ], second[differ]], 0.99))


def to_bytes(vector: Vectors) -> bytes:
    """Little-endian float32, on every machine."""
    return vector.astype("<f4").tobytes()


def from_bytes(rows: list[bytes]) -> Vectors:
    """The vectors that `to_bytes` wrote; raises ValueError for one of another length."""
    if any(len(row) != 4 * LENGTH for row in rows):
        raise ValueError(f"A vector of {SPACE} has {LENGTH} numbers.")
    return np.frombuffer(b"".join(rows), "<f4").reshape(len(rows), LENGTH).astype(np.float32, copy=False)


def _tile(image: Image) -> NDArray[np.float32]:
    """3x224x224 in -1..1, as the network was trained; the aspect is not kept."""
    shrinks = image.shape[0] * image.shape[1] > INPUT_PX * INPUT_PX
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    small = cv2.resize(image, (INPUT_PX, INPUT_PX), interpolation=way)
    scaled = (small.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))
