"""How a picture lies on the reference: 3x3 matrices, what they do, and how to fit them.

A point (x, y) is the centre of pixel column x, row y. Matrices map picture pixels onto reference pixels.
"""

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Model = Literal["homography", "similarity", "euclidean"]
MODELS: tuple[Model, ...] = ("homography", "similarity", "euclidean")
Matrix = NDArray[np.float64]  # 3x3
Points = NDArray[np.float64]  # Nx2: x, y


@dataclass(frozen=True)
class Motion:
    """What a matrix does to the reference's frame, seen from the reference.

    shift_share        how far the middle moved, in lengths of the longest side
    turn_deg           against the clock is positive
    scale              1.02: the picture shows the part 2 % larger
    perspective_share  how far a corner lies from where shift, turn and scale alone would put it, in longest sides
    """

    shift_share: float
    turn_deg: float
    scale: float
    perspective_share: float

    @classmethod
    def of(cls, matrix: Matrix, *, height: int, width: int) -> "Motion":
        """Raises ValueError for a matrix that folds or mirrors the frame of height x width."""
        corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)
        try:
            backward = inverse(matrix)
        except np.linalg.LinAlgError:
            raise ValueError("the picture would be folded") from None
        depth = np.column_stack([corners, np.ones(4)]) @ backward[2]
        if not np.isfinite(backward).all() or depth.min() * depth.max() <= 0:
            raise ValueError("the picture would be folded")
        seen = mapped(backward, corners)
        sides = np.roll(seen, -1, axis=0) - seen
        next_sides = np.roll(sides, -1, axis=0)
        if (sides[:, 0] * next_sides[:, 1] - sides[:, 1] * next_sides[:, 0]).min() <= 0:
            raise ValueError("the picture would be folded or mirrored")
        similar = best_similarity(corners, seen)
        longest = max(height, width)
        middle = corners.mean(axis=0, keepdims=True)
        return cls(
            shift_share=float(np.linalg.norm(mapped(similar, middle) - middle)) / longest,
            turn_deg=math.degrees(math.atan2(-similar[1, 0], similar[0, 0])),
            scale=math.hypot(similar[0, 0], similar[1, 0]),
            perspective_share=float(np.linalg.norm(mapped(similar, corners) - seen, axis=1).max()) / longest,
        )


def inverse(matrix: Matrix) -> Matrix:
    """The way back; raises LinAlgError if there is none."""
    return np.asarray(np.linalg.inv(matrix), np.float64)


def mapped(matrix: Matrix, points: Points) -> Points:
    """Where the matrix puts the points."""
    ahead = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return np.asarray(ahead[:, :2] / ahead[:, 2:])


def best_similarity(source: Points, target: Points, *, keeps_size: bool = False) -> Matrix:
    """Turn, scale (if it may change) and shift that bring source nearest to target.

    Source: Umeyama, Least-squares estimation of transformation parameters between two point patterns, IEEE PAMI 13(4),
    1991, in its closed form for the plane: points as complex numbers, the turn is the angle of their product.
    """
    a = source - source.mean(axis=0)
    b = target - target.mean(axis=0)
    along = float((a * b).sum())
    across = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())
    size = math.hypot(along, across) if keeps_size else float((a * a).sum())
    cos, sin = (along / size, across / size) if size > 0 else (1.0, 0.0)
    matrix = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    matrix[:2, 2] = target.mean(axis=0) - matrix[:2, :2] @ source.mean(axis=0)
    return matrix


def fit_motion(source: Points, target: Points, *, model: Model, near_px: float) -> Matrix | None:
    """The motion that most pairs agree on (RANSAC), to near_px; None if there is none."""
    if len(source) < 4:
        return None
    a, b = source.astype(np.float32), target.astype(np.float32)
    if model == "homography":
        found, marks = cv2.findHomography(a, b, cv2.RANSAC, near_px, maxIters=2000, confidence=0.999)
    else:
        found, marks = cv2.estimateAffinePartial2D(
            a, b, method=cv2.RANSAC, ransacReprojThreshold=near_px, maxIters=2000, confidence=0.999
        )
    if found is None or not np.isfinite(found).all():
        return None
    agrees = np.asarray(marks).ravel().astype(np.bool_)
    if agrees.sum() < 4:
        return None
    if model == "homography":
        return np.asarray(found, np.float64)
    return best_similarity(source[agrees], target[agrees], keeps_size=model == "euclidean")


def as_model(matrix: Matrix, *, model: Model, shape: tuple[int, ...]) -> Matrix:
    """The motion of this model that comes nearest to the matrix all over a frame of this height and width."""
    if model == "homography":
        return np.asarray(matrix / matrix[2, 2])
    height, width = shape
    x, y = np.meshgrid(np.linspace(0, width - 1, 5), np.linspace(0, height - 1, 5))
    points = np.column_stack([x.ravel(), y.ravel()])
    return best_similarity(points, mapped(matrix, points), keeps_size=model == "euclidean")


def reduction(factor_x: float, factor_y: float) -> Matrix:
    """Pixels of a picture to pixels of the same picture resized by these factors; edges stay on edges."""
    return np.array(
        [[factor_x, 0, factor_x / 2 - 0.5], [0, factor_y, factor_y / 2 - 0.5], [0, 0, 1]], dtype=np.float64
    )
