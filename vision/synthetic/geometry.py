"""The flange: a turned disc with a raised boss, a bore and six bolt holes. Half an image is 1."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from vision.predictor import FloatMap

SIZE_PX = 512
OUTER, STEP, BORE = 0.88, 0.50, 0.23
BOLT_CIRCLE, BOLT, BOLTS = 0.69, 0.068, 6
CHAMFER = 0.018
PX = 2 / SIZE_PX


@dataclass(frozen=True)
class Pose:
    """How this part lies under the camera: shift in half images, size, turn in radians."""

    dx: float
    dy: float
    scale: float
    turn: float

    def bolt_holes(self) -> list[tuple[float, float]]:
        """Centres of the bolt holes in part coordinates."""
        angles = self.turn + np.arange(BOLTS) * (2 * np.pi / BOLTS)
        return [(BOLT_CIRCLE * float(np.cos(a)), BOLT_CIRCLE * float(np.sin(a))) for a in angles]

    def to_px(self, x: float, y: float) -> tuple[float, float]:
        """Part coordinates to pixel column and row."""
        return ((x * self.scale + self.dx + 1) / PX - 0.5, (y * self.scale + self.dy + 1) / PX - 0.5)


@dataclass(frozen=True)
class Shape:
    """Distances at each pixel, in part coordinates; x, y from the part's centre.

    hole  signed distance to the nearest bolt hole's edge, negative inside
    """

    x: FloatMap
    y: FloatMap
    radius: FloatMap
    angle: FloatMap
    hole: FloatMap

    def metal(self) -> FloatMap:
        """1 on metal, 0 in holes and beside the part, with one soft pixel at each edge."""
        return covered(OUTER - self.radius) * covered(self.radius - BORE) * covered(self.hole)


def shape(pose: Pose) -> Shape:
    axis_x, axis_y = _grid()
    x, y = (axis_x - pose.dx) / pose.scale, (axis_y - pose.dy) / pose.scale
    hole = np.full_like(x, 2.0)
    for cx, cy in pose.bolt_holes():
        hole = np.minimum(hole, cv2.magnitude(x - np.float32(cx), y - np.float32(cy)) - np.float32(BOLT))
    return Shape(x, y, np.asarray(cv2.magnitude(x, y)), np.asarray(cv2.phase(x, y)), hole)


def covered(distance: FloatMap) -> FloatMap:
    """Signed distance to pixel coverage: 0 outside, 1 inside, a straight ramp one pixel wide."""
    return np.clip(distance / np.float32(PX) + np.float32(0.5), 0, 1)


@lru_cache(maxsize=1)
def _grid() -> tuple[FloatMap, FloatMap]:
    axis = ((np.arange(SIZE_PX) + 0.5) * PX - 1).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return np.ascontiguousarray(x), np.ascontiguousarray(y)
