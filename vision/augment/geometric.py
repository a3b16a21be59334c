"""Mirror, turn, shift, scale and tilt a picture, and its painted mask with it."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.augment.allowed import AllowedRange
from vision.predictor import Example, Image, Mask

# A pixel counts as painted from this much cover on: the most that a one-pixel line or dot can lose between pixels,
# so that a hair crack never vanishes from its mask.
_COVER = 0.24
_TRIES = 8

Homography = NDArray[np.float64]  # 3x3, from old to new pixel coordinates


def moved(example: Example, allowed: AllowedRange, rng: np.random.Generator) -> Example:
    """The picture somewhere else within the range; what comes into view is mirrored at the border.

    A painted defect stays in view: a move that would lose it is drawn again, and after eight losses there is none.
    """
    for _ in range(_TRIES):
        drawn = _moved_once(example, allowed, rng)
        if example.mask is None or drawn.mask is None or drawn.mask.any() or not example.mask.any():
            return drawn
    return example


def _moved_once(example: Example, allowed: AllowedRange, rng: np.random.Generator) -> Example:
    turned = _turned(example, allowed, rng)
    height, width = turned.pixels.shape[:2]
    matrix = _drawn_matrix(allowed, rng, height=height, width=width)
    if matrix is None:
        return turned
    mask = None if turned.mask is None else _warped_mask(turned.mask, matrix)
    return replace(turned, pixels=_warped(turned.pixels, matrix).astype(np.uint8), mask=mask)


def _turned(example: Example, allowed: AllowedRange, rng: np.random.Generator) -> Example:
    """Flips and quarter turns: every pixel keeps its value."""
    axes = [
        axis
        for axis, may in ((1, allowed.flip_horizontal), (0, allowed.flip_vertical))
        if may and rng.random() < 0.5
    ]
    turns = 0
    if allowed.quarter_turns:
        is_square = example.pixels.shape[0] == example.pixels.shape[1]
        turns = int(rng.choice([0, 1, 2, 3] if is_square else [0, 2]))
    if not axes and not turns:
        return example

    def turn(array: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.rot90(np.flip(array, tuple(axes)), turns))

    return replace(
        example, pixels=turn(example.pixels), mask=None if example.mask is None else turn(example.mask)
    )


def _drawn_matrix(
    allowed: AllowedRange, rng: np.random.Generator, *, height: int, width: int
) -> Homography | None:
    """One move about the picture's middle; None where nothing of the kind is allowed."""
    if not (allowed.rotation_deg or allowed.shift or allowed.scale or allowed.perspective):
        return None
    angle = np.deg2rad(rng.uniform(-allowed.rotation_deg, allowed.rotation_deg))
    factor = 1 + rng.uniform(-allowed.scale, allowed.scale)
    dx, dy = rng.uniform(-allowed.shift, allowed.shift, 2) * (width, height)
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    cos, sin = factor * np.cos(angle), factor * np.sin(angle)
    move = np.array(
        [
            [cos, -sin, middle_x + dx - cos * middle_x + sin * middle_y],
            [sin, cos, middle_y + dy - sin * middle_x - cos * middle_y],
            [0, 0, 1],
        ]
    )
    if not allowed.perspective or min(height, width) < 2:
        return move
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float32)
    reach = allowed.perspective * np.array([width, height])
    tilted = (corners + rng.uniform(-reach, reach, (4, 2))).astype(np.float32)
    return np.asarray(move @ cv2.getPerspectiveTransform(corners, tilted), np.float64)


def _warped_mask(mask: Mask, matrix: Homography) -> Mask:
    return np.asarray(_warped(mask.astype(np.float32), matrix) >= _COVER, np.bool_)


def _warped(array: Image | NDArray[np.float32], matrix: Homography) -> NDArray[Any]:
    height, width = array.shape[:2]
    return np.asarray(
        cv2.warpPerspective(
            array, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
    )
