"""Boxes drawn as a defect map."""

import numpy as np
from numpy.typing import NDArray

from vision.models.nms import Boxes
from vision.predictor import FloatMap

EDGE = 0.5  # of the box's probability at its very edge ...
EDGE_SHARE = 0.1  # ... rising to the whole within this share of its width and height


def draw_boxes(boxes: Boxes, probabilities: NDArray[np.float64], *, height: int, width: int) -> FloatMap:
    """A height x width map: where boxes lie their probability, a little less at their edges; elsewhere 0.

    boxes  Nx4 x1, y1, x2, y2 as fractions 0..1 of the map

    However small a box is, at least one cell has its whole probability; where boxes overlap the higher counts.
    """
    drawn: FloatMap = np.zeros((height, width), dtype=np.float32)
    for (x1, y1, x2, y2), probability in zip(boxes, probabilities, strict=True):
        rows, columns = _profile(y1 * height, y2 * height, height), _profile(x1 * width, x2 * width, width)
        # Of two edges that meet in a corner the lower counts.
        box = np.minimum(rows[:, None], columns[None, :]) * probability
        np.maximum(drawn, box.astype(np.float32), out=drawn)
    return drawn


def _profile(start: float, end: float, cells: int) -> NDArray[np.float64]:
    """Along one axis: 0 outside the box, EDGE to 1 inside; 1 at least at the cell that holds its middle."""
    centres = np.arange(cells) + 0.5
    ramp = max(EDGE_SHARE * (end - start), 1e-9)
    depth = np.minimum(centres - start, end - centres)
    profile = np.where(depth >= 0, EDGE + (1 - EDGE) * np.clip(depth / ramp, 0, 1), 0.0)
    profile[min(cells - 1, int((start + end) / 2))] = 1.0
    return profile
