"""Boxes: how much two overlap, and which of many that say the same thing stay.

A box is x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, in any unit as long as it is the same for all.
"""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]  # Nx4


def iou(one: Boxes, other: Boxes) -> NDArray[np.float64]:
    """Intersection over union (Jaccard index) of every box of `one` with every box of `other`: NxM, 0..1.

    Two boxes without any area have nothing in common, not even where they lie on each other: 0.
    """
    corner_from = np.maximum(one[:, None, :2], other[None, :, :2])
    corner_to = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.prod(np.clip(corner_to - corner_from, 0, None), axis=2)
    union = _areas(one)[:, None] + _areas(other)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def nms(boxes: Boxes, scores: NDArray[np.float64], *, iou_threshold: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: the numbers of the boxes that stay, strongest first.

    A box goes if a stronger one that stayed overlaps it by more than `iou_threshold`. Of two equally strong
    boxes the earlier one counts as stronger, so the same boxes always give the same answer.

    Raises ValueError for NaN or infinite numbers: what is compared with NaN would silently stay or go.
    """
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError("Boxes and their scores must be finite numbers.")
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while len(waiting):
        strongest, waiting = waiting[0], waiting[1:]
        kept.append(strongest)
        overlap = iou(boxes[strongest : strongest + 1], boxes[waiting])[0]
        waiting = waiting[overlap <= iou_threshold]
    return np.array(kept, dtype=np.intp)


def nms_by_class(
    boxes: Boxes, scores: NDArray[np.float64], classes: NDArray[np.intp], *, iou_threshold: float
) -> NDArray[np.intp]:
    """The same among boxes of one class only: a scratch never hides a dent. Strongest first."""
    kept = [
        members[nms(boxes[members], scores[members], iou_threshold=iou_threshold)]
        for members in (np.flatnonzero(classes == each) for each in np.unique(classes))
    ]
    together = np.sort(np.concatenate(kept)) if kept else np.empty(0, dtype=np.intp)
    order: NDArray[np.intp] = together[np.argsort(-scores[together], kind="stable")]
    return order


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)
    return areas
