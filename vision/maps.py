"""Defect maps: to image size, to a picture file and back, and cut into regions."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.predictor import FloatMap


@dataclass(frozen=True)
class Region:
    """One connected defect.

    x, y, width, height  bounding box in map pixels
    area_px              pixels at or above the threshold
    peak                 highest probability inside
    """

    x: int
    y: int
    width: int
    height: int
    area_px: int
    peak: float


def resize_to_image(defect_map: FloatMap, *, height: int, width: int) -> FloatMap:
    """Stretch the map over the whole image, bilinearly: never beyond the values it had.

    Raises ValueError if the map is empty or not HxW, or the image has no pixels.
    """
    if defect_map.ndim != 2 or defect_map.size == 0 or height < 1 or width < 1:
        raise ValueError(f"A map of shape {defect_map.shape} cannot cover an image of {height}x{width}.")
    resized = cv2.resize(defect_map, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.float32)


def robust_maximum(cells: NDArray[np.floating], *, worst: int = 3) -> float:
    """Mean of the largest few cells: one odd cell alone does not decide. NaN anywhere gives NaN.

    Raises ValueError for no cells.
    """
    if cells.size == 0:
        raise ValueError("A map without cells has no maximum.")
    # NaN sorts as the largest, so it is among the worst and never lost.
    largest = np.partition(cells.ravel(), -min(worst, cells.size))[-worst:]
    return float(np.sort(largest).mean(dtype=np.float64))


def to_png(defect_map: FloatMap) -> bytes:
    """Eight bits a pixel, 0 to 255 for 0..1, at map resolution.

    Raises ValueError if the map is empty or holds NaN or values outside 0..1: black must mean "clean".
    """
    _check(defect_map)
    done, encoded = cv2.imencode(".png", np.rint(defect_map * 255).astype(np.uint8))
    if not done:
        raise ValueError("The defect map could not be encoded.")
    return encoded.tobytes()


def from_png(content: bytes) -> FloatMap:
    """The map that `to_png` wrote, to 1/510.

    Raises ValueError if the bytes are not a whole 8-bit grey picture.
    """
    grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    if grey is None or grey.dtype != np.uint8 or grey.ndim != 2:
        raise ValueError("These bytes are not a defect map.")
    return np.asarray(grey, dtype=np.float32) / np.float32(255)


def defect_regions(defect_map: FloatMap, *, threshold: float, min_area_px: int) -> list[Region]:
    """Cut the defect map into connected regions, strongest first.

    defect_map   HxW float32, probability 0..1
    threshold    lowest probability that belongs to a region
    min_area_px  smaller regions are noise and are dropped

    Raises ValueError if the map is empty or holds NaN.
    Source: 8-connected labelling as in OpenCV connectedComponentsWithStats.
    """
    _check(defect_map)
    inside: NDArray[np.uint8] = (defect_map >= threshold).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    regions = []
    for label in range(1, count):
        x, y, width, height, area_px = (int(number) for number in boxes[label])
        if area_px >= min_area_px:
            peak = float(defect_map[labels == label].max())
            regions.append(Region(x, y, width, height, area_px, peak))
    return sorted(regions, key=lambda region: (-region.peak, -region.area_px, region.y, region.x))


def _check(defect_map: FloatMap) -> None:
    if defect_map.ndim != 2 or defect_map.size == 0:
        raise ValueError(f"A defect map is HxW and not empty, not {defect_map.shape}.")
    if not np.isfinite(defect_map).all() or defect_map.min() < 0 or defect_map.max() > 1:
        raise ValueError("A defect map holds probabilities 0..1; this one has NaN or values outside.")
