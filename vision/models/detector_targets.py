"""What a detector learns from: each painted defect as a box and a mask, in pixels of the network's input."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vision.predictor import Example, Mask

SMALLEST_BOX_PX = 12  # at least one place of a grid of 8 pixels, and then some, lies inside
SMALLEST_SPECK_PX = 4
MOST_INSTANCES = 40


@dataclass(frozen=True)
class Painted:
    """One picture to learn from, at the network's size.

    pixels  3xSxS float32, normalised
    boxes   Nx4 float32 x1, y1, x2, y2 in pixels of S; N = 0 for a good part
    labels  N, number of the defect type
    masks   NxSxS bool
    """

    pixels: NDArray[np.float32]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]

    def mirrored(self, *, across: bool, down: bool) -> "Painted":
        pixels, masks, boxes = self.pixels, self.masks, self.boxes.copy()
        size = pixels.shape[-1]
        if across:
            pixels, masks = pixels[:, :, ::-1], masks[:, :, ::-1]
            boxes[:, [0, 2]] = size - boxes[:, [2, 0]]
        if down:
            pixels, masks = pixels[:, ::-1], masks[:, ::-1]
            boxes[:, [1, 3]] = size - boxes[:, [3, 1]]
        return Painted(np.ascontiguousarray(pixels), boxes, self.labels, np.ascontiguousarray(masks))

    def target(self, *, device: str, with_masks: bool) -> dict[str, torch.Tensor]:
        """As torchvision's detectors take it."""
        target = {"boxes": torch.from_numpy(self.boxes), "labels": torch.from_numpy(self.labels)}
        if with_masks:
            target["masks"] = torch.from_numpy(self.masks.astype(np.uint8))
        return {name: value.to(device) for name, value in target.items()}


def is_painted(example: Example) -> bool:
    """A bad part whose defect somebody painted."""
    return example.is_bad and example.mask is not None and bool(example.mask.any())


def painted(example: Example, pixels: NDArray[np.float32], *, types: Sequence[str]) -> Painted:
    """A good part, or a bad one that is painted, with its instances.

    pixels  the example's picture as the network sees it
    types   names of the defect types in the order of their labels; one name: all defects are alike
    """
    size = pixels.shape[-1]
    masks = instances(example.mask, size=size) if example.is_bad and example.mask is not None else []
    label = types.index(example.defect) if masks and len(types) > 1 else 0
    return Painted(
        pixels,
        np.array([_box(mask) for mask in masks], dtype=np.float32).reshape(-1, 4),
        np.full(len(masks), label, dtype=np.int64),
        np.array(masks, dtype=np.bool_).reshape(-1, size, size),
    )


def instances(mask: Mask, *, size: int) -> list[Mask]:
    """The painted pixels, brought to size x size and cut into connected regions, largest first.

    A pixel counts as soon as the paint touches it, so that a hair crack survives. Specks are dropped, unless there
    is nothing else; at most MOST_INSTANCES are kept.

    Source: 8-connected labelling as in OpenCV connectedComponentsWithStats.
    """
    small = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats((small > 0).astype(np.uint8), connectivity=8)
    areas = boxes[1:count, cv2.CC_STAT_AREA]
    order = np.argsort(-areas, kind="stable")[:MOST_INSTANCES]
    kept = [int(place) for place in order if areas[place] >= SMALLEST_SPECK_PX] or [int(order[0])]
    return [labels == place + 1 for place in kept]


def _box(mask: Mask) -> tuple[float, float, float, float]:
    """Around the mask, with room for a detector's grid where it is tiny; inside the image."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom = _widened(int(rows[0]), int(rows[-1]) + 1, limit=mask.shape[0])
    left, right = _widened(int(columns[0]), int(columns[-1]) + 1, limit=mask.shape[1])
    return left, top, right, bottom


def _widened(start: int, end: int, *, limit: int) -> tuple[float, float]:
    lacking = max(0, SMALLEST_BOX_PX - (end - start))
    start = min(max(0, start - lacking // 2), limit - SMALLEST_BOX_PX) if lacking else start
    return float(start), float(start + SMALLEST_BOX_PX if lacking else end)
