"""Outlined defects drawn as a defect map."""

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.models.nms import Boxes
from vision.predictor import FloatMap


def draw_instances(
    boxes: Boxes, probabilities: NDArray[np.float64], masks: NDArray[np.float32], *, cells: int
) -> FloatMap:
    """A cells x cells map: each mask laid into its box, its strongest place at the box's probability; elsewhere 0.

    boxes  Nx4 x1, y1, x2, y2 as fractions 0..1 of the map
    masks  NxMxM, 0..1 within the box: they say where, the probability says how bad

    However small a box is, at least one cell has its whole probability; where boxes overlap the higher counts.
    """
    drawn: FloatMap = np.zeros((cells, cells), dtype=np.float32)
    for box, probability, mask in zip(boxes, probabilities, masks, strict=True):
        left, top = np.clip(np.floor(box[:2] * cells).astype(int), 0, cells - 1)
        right, bottom = np.clip(np.ceil(box[2:] * cells).astype(int), (left + 1, top + 1), cells)
        pasted = cv2.resize(mask, (int(right - left), int(bottom - top)), interpolation=cv2.INTER_LINEAR)
        strongest = float(pasted.max())
        pasted = pasted / strongest if strongest > 0 else np.ones_like(pasted)
        inside = drawn[top:bottom, left:right]
        np.maximum(inside, (pasted * probability).astype(np.float32), out=inside)
    return drawn
