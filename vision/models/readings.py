"""What the outputs of an imported network say of one image, in the terms of its manifest."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from vision.manifest import Manifest
from vision.maps import robust_maximum
from vision.models.box_map import draw_boxes
from vision.models.calibration import Calibration
from vision.models.nms import Boxes, nms_by_class
from vision.models.placement import Placement
from vision.predictor import FloatMap

SMALLEST = 1e-6  # of a probability: float32 knows little beyond
SMALLEST_BOX = 1e-3  # fainter boxes are as good as none
WORST_CELLS = 3  # the robust maximum of a map, as everywhere
WORST_PIXELS = 10  # the same of a map with a value for each pixel
MOST_BOXES = 300
BOX_CELL_PX = 4  # of the network's input
TOLERANCE = 1e-3  # how far a rounded probability may lie outside 0..1

Array = NDArray[np.float64]
Outputs = dict[str, NDArray[np.float32]]  # the manifest's meaning -> the network's array


class Reading(Protocol):
    """Evidence that the part is bad, before calibration."""

    @property
    def evidence(self) -> float: ...

    @property
    def defect(self) -> str: ...

    def drawn(self, calibration: Calibration) -> FloatMap:
        """The defect map whose robust maximum is the calibrated probability of `evidence`."""
        ...


@dataclass(frozen=True)
class CellReading:
    """One number for each cell of the image; it is the differences between them that count.

    All cells are shifted alike, so that the map's robust maximum is the score: the map says where, the score how bad.
    """

    evidence: float
    defect: str
    cells: Array  # HxW
    worst: int = WORST_CELLS

    def drawn(self, calibration: Calibration) -> FloatMap:
        shifted = self.cells + (self.evidence - robust_maximum(self.cells, worst=self.worst))
        return calibration.probability(shifted).astype(np.float32)


@dataclass(frozen=True)
class BoxReading:
    """Boxes, as fractions of the image, each with its evidence; outside them nothing was found."""

    evidence: float
    defect: str
    boxes: Boxes
    box_evidence: Array
    height: int
    width: int

    def drawn(self, calibration: Calibration) -> FloatMap:
        probabilities = calibration.probability(self.box_evidence)
        return draw_boxes(self.boxes, probabilities, height=self.height, width=self.width)


def broken() -> Reading:
    """The network's arithmetic broke: NaN, so that the part is held."""
    return CellReading(np.nan, "", np.full((1, 1), np.nan))


def read_outputs(outputs: Outputs, manifest: Manifest, placement: Placement) -> Reading:
    """Raises ValueError, with a sentence, where the arrays' shapes are not what the manifest says."""
    if manifest.task == "classification":
        return _classification(outputs, manifest, placement)
    if manifest.task == "segmentation":
        return _segmentation(outputs, manifest, placement)
    if manifest.task == "detection":
        return _detection(outputs, manifest, placement)
    return _anomaly(outputs, manifest, placement)


def read_boxes(boxes: Boxes, scores: Array, manifest: Manifest, placement: Placement) -> Reading:
    """Candidate boxes in pixels of the input, x1 y1 x2 y2, with a probability 0..1 for each class: Kx4, KxC.

    The evidence is that of the most probable bad class anywhere. That box always stays and is always drawn, so the
    map never claims less than the score.
    """
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()) or _is_outside(scores):
        return broken()
    height, width = (max(1, -(-side // BOX_CELL_PX)) for side in (placement.height, placement.width))
    bad = scores[:, manifest.bad]
    if bad.size == 0:
        return BoxReading(float(logit(SMALLEST_BOX)), "", np.empty((0, 4)), np.empty(0), height, width)
    best = bad.max(axis=1)
    classes = np.asarray(manifest.bad, dtype=np.intp)[bad.argmax(axis=1)]
    candidates = np.flatnonzero(best >= min(manifest.score_threshold, float(best.max())))
    candidates = candidates[np.argsort(-best[candidates], kind="stable")][: 4 * MOST_BOXES]
    kept = candidates[
        nms_by_class(
            boxes[candidates], best[candidates], classes[candidates], iou_threshold=manifest.iou_threshold
        )
    ][:MOST_BOXES]
    evidence = logit(np.clip(best[kept], SMALLEST_BOX, 1 - SMALLEST))
    return BoxReading(
        evidence=float(evidence[0]),
        defect=manifest.classes[classes[kept[0]]].name,
        boxes=placement.boxes_as_fractions(boxes[kept]),
        box_evidence=evidence,
        height=height,
        width=width,
    )


def corners(boxes: Boxes) -> Boxes:
    """Centre, width and height to x1, y1, x2, y2."""
    half = np.abs(boxes[:, 2:]) / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _classification(outputs: Outputs, manifest: Manifest, placement: Placement) -> Reading:
    scores = outputs["scores"].astype(np.float64).ravel()
    if len(scores) != len(manifest.classes):
        raise ValueError(
            f"The manifest names {len(manifest.classes)} classes; the output {manifest.outputs['scores']!r} "
            f"has the shape {list(outputs['scores'].shape)}."
        )
    evidence = float(_bad_evidence(scores, manifest))
    likely = manifest.bad[int(np.argmax(scores[manifest.bad]))]
    cells = np.zeros((1, 1))  # such a model does not say where: the whole image alike
    if "map" in outputs:
        maps = _planes(outputs, manifest, placement, count=len(manifest.classes))
        cells = maps[likely] - np.logaddexp.reduce(maps[manifest.good], axis=0)
    return CellReading(evidence, manifest.classes[likely].name, cells)


def _segmentation(outputs: Outputs, manifest: Manifest, placement: Placement) -> Reading:
    maps = _planes(outputs, manifest, placement, count=len(manifest.classes))
    cells = _bad_evidence(maps, manifest)
    row, column = divmod(int(np.argmax(cells)), cells.shape[1])
    likely = manifest.bad[int(np.argmax(maps[manifest.bad, row, column]))]
    return CellReading(
        evidence=robust_maximum(cells, worst=WORST_PIXELS),
        defect=manifest.classes[likely].name,
        cells=cells,
        worst=WORST_PIXELS,
    )


def _anomaly(outputs: Outputs, manifest: Manifest, placement: Placement) -> Reading:
    cells = np.zeros((1, 1))
    if "map" in outputs:
        cells = _as_evidence(_planes(outputs, manifest, placement, count=1)[0], manifest)
    if "score" not in outputs:
        return CellReading(robust_maximum(cells, worst=WORST_PIXELS), "", cells, WORST_PIXELS)
    score = outputs["score"].astype(np.float64).ravel()
    if len(score) != 1:
        raise ValueError(f"An anomaly score is one number; this output is {list(outputs['score'].shape)}.")
    return CellReading(float(_as_evidence(score, manifest)[0]), "", cells)


def _detection(outputs: Outputs, manifest: Manifest, placement: Placement) -> Reading:
    boxes, scores = outputs["boxes"].astype(np.float64), outputs["scores"].astype(np.float64)
    if boxes.shape[-1] != 4:
        raise ValueError(f"Boxes have the shape 1xKx4; this output is {list(boxes.shape)}.")
    boxes, count = boxes.reshape(-1, 4), len(manifest.classes)
    each = count if "classes" not in outputs else 1
    if scores.size != len(boxes) * each:
        raise ValueError(
            f"{len(boxes)} boxes need {each} scores each by the manifest; the output {manifest.outputs['scores']!r} "
            f"has the shape {list(scores.shape)}."
        )
    scores = scores.reshape(len(boxes), each)
    if manifest.activation == "sigmoid":
        scores = np.asarray(expit(scores))
    if "classes" in outputs:
        scores = _spread_over_classes(scores[:, 0], outputs["classes"].ravel(), manifest)
    if manifest.box_unit == "fraction":
        boxes = boxes * np.array([manifest.input.width, manifest.input.height] * 2)
    return read_boxes(corners(boxes) if manifest.box_format == "xywh" else boxes, scores, manifest, placement)


def _spread_over_classes(scores: Array, numbers: NDArray[np.float32], manifest: Manifest) -> Array:
    """One score a box and its class number to KxC."""
    count = len(manifest.classes)
    if len(numbers) != len(scores) or not set(numbers.tolist()) <= set(range(count)):
        raise ValueError(
            f"The output {manifest.outputs['classes']!r} must hold a class 0 to {count - 1} per box."
        )
    spread = np.zeros((len(scores), count))
    spread[np.arange(len(scores)), numbers.astype(np.intp)] = scores
    return spread


def _bad_evidence(values: Array, manifest: Manifest) -> Array:
    """Logit of bad from one value per class, classes first; NaN where a probability is none."""
    bad, good = values[manifest.bad], values[manifest.good]
    if manifest.activation == "softmax":
        return np.asarray(np.logaddexp.reduce(bad, axis=0) - np.logaddexp.reduce(good, axis=0))
    if manifest.activation == "sigmoid":
        return np.asarray(bad.max(axis=0))
    if _is_outside(values):
        return np.full(values.shape[1:], np.nan)
    if not manifest.good:
        return _as_logit(bad.max(axis=0))
    share = bad.sum(axis=0) / np.maximum(bad.sum(axis=0) + good.sum(axis=0), SMALLEST)
    return _as_logit(share)


def _as_evidence(values: Array, manifest: Manifest) -> Array:
    """An anomaly model's numbers: logits and numbers of its own unit as they are, probabilities as logits."""
    if manifest.activation == "sigmoid" or manifest.typical_good is not None:
        return values
    return np.full_like(values, np.nan) if _is_outside(values) else _as_logit(values)


def _planes(outputs: Outputs, manifest: Manifest, placement: Placement, *, count: int) -> Array:
    """The output `map` as CxHxW, cut to the image."""
    found = outputs["map"].astype(np.float64)
    if found.ndim == 3 and count == 1:
        found = found[:, None]
    elif found.ndim == 4 and manifest.input.layout == "nhwc":
        found = found.transpose(0, 3, 1, 2)
    if found.ndim != 4 or found.shape[:2] != (1, count) or found.size == 0:
        raise ValueError(
            f"The output {manifest.outputs['map']!r} should hold {count} map(s), one a class; its shape is "
            f"{list(outputs['map'].shape)}."
        )
    return np.stack([placement.cells_of_image(each, manifest.input) for each in found[0]])


def _as_logit(probability: Array) -> Array:
    return np.asarray(logit(np.clip(probability, SMALLEST, 1 - SMALLEST)))


def _is_outside(values: Array) -> bool:
    return bool(values.size) and bool(values.min() < -TOLERANCE or values.max() > 1 + TOLERANCE)
