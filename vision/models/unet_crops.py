"""What the U-Net learns from: crops at native resolution, half of them around painted defects.

A crop is drawn, turned, scaled and mirrored in one step, so that a large picture costs no more than a small one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.predictor import Example, FloatMap, Image, Mask

OFF_CENTRE = 0.4  # of the crop: how far from its middle a defect may lie
LARGEST_PASTED = (
    0.03  # of the picture: larger defects are the surface itself and cannot be laid on another part
)
RING_PX = 12  # around a pasted defect: what its brightness is compared with
FEATHER_PX = 2.0
NOISE = 0.01
MOST_CENTRES = 2000  # painted pixels that are kept as places to look at, of one picture


@dataclass(frozen=True)
class Changes:
    """How far a crop may be changed and still be of this part type; light in natural logarithms."""

    flips: bool
    rotation_deg: float
    light: float
    pasted_share: float


@dataclass(frozen=True)
class _Picture:
    pixels: Image
    mask: Mask | None
    painted: NDArray[np.intp]  # Kx2 rows and columns of painted pixels, evenly thinned out


class Crops:
    """Draws batches: half around painted defects, the rest of good parts, some of these with a defect laid on them.

    Every physical part counts alike, however many pictures there are of it, and within it every picture.
    """

    def __init__(
        self, examples: Sequence[Example], *, size_px: int, changes: Changes, rng: np.random.Generator
    ) -> None:
        self._size, self._changes, self._rng = size_px, changes, rng
        bad = [example for example in examples if example.is_bad]
        self._good = _by_part([example for example in examples if not example.is_bad])
        self._bad = _by_part(bad)
        self._small = _by_part([e for e in bad if e.mask is not None and e.mask.mean() < LARGEST_PASTED])

    def batch(self, size: int) -> tuple[FloatMap, FloatMap]:
        """Pictures NxSxSx3 in -1..1 and their painted masks NxSxS, 0 or 1."""
        drawn = [self._around_defect() if number % 2 == 0 else self._other() for number in range(size)]
        return np.stack([2 * light - 1 for light, _ in drawn]), np.stack([mask for _, mask in drawn])

    def _around_defect(self) -> tuple[FloatMap, FloatMap]:
        return self._crop(_pick(self._bad, self._rng))

    def _other(self) -> tuple[FloatMap, FloatMap]:
        light, mask = self._crop(_pick(self._good, self._rng))
        if not self._small or self._rng.random() >= self._changes.pasted_share:
            return light, mask
        return paste(*self._crop(_pick(self._small, self._rng)), light)

    def _crop(self, picture: _Picture) -> tuple[FloatMap, FloatMap]:
        """Around a painted pixel, where there is one; else anywhere. What lies outside the picture is mirrored in."""
        matrix = self._placement(picture)
        size = (self._size, self._size)
        light = cv2.warpAffine(
            picture.pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        relit = self._relit(np.asarray(light, np.float32) / np.float32(255))
        if picture.mask is None:
            return relit, np.zeros(size, np.float32)
        mask = cv2.warpAffine(
            picture.mask.astype(np.uint8),
            matrix,
            size,
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return relit, np.asarray(mask, np.float32)

    def _placement(self, picture: _Picture) -> NDArray[np.float64]:
        rng, size, changes = self._rng, self._size, self._changes
        height, width = picture.pixels.shape[:2]
        if len(picture.painted):
            row, column = picture.painted[rng.integers(len(picture.painted))] + rng.uniform(
                -OFF_CENTRE * size, OFF_CENTRE * size, 2
            )
        else:
            row, column = rng.uniform(0, height), rng.uniform(0, width)
        # As little as possible outside: a mirrored border is no part.
        row = np.clip(row, min(size, height) / 2, height - min(size, height) / 2)
        column = np.clip(column, min(size, width) / 2, width - min(size, width) / 2)
        angle = rng.uniform(-changes.rotation_deg, changes.rotation_deg)
        matrix = cv2.getRotationMatrix2D((column, row), angle, float(np.exp(rng.uniform(-0.2, 0.2))))
        matrix[:, 2] += np.array([size / 2 - column, size / 2 - row])
        for axis in (0, 1):
            if changes.flips and rng.random() < 0.5:
                matrix[axis] *= -1
                matrix[axis, 2] += size - 1
        return np.asarray(matrix, np.float64)

    def _relit(self, light: FloatMap) -> FloatMap:
        """Another exposure, another tone curve, a little noise."""
        rng, reach = self._rng, self._changes.light
        exposed = np.clip(light * np.exp(rng.normal(0, reach)), 1e-4, 1) ** np.exp(
            rng.normal(0, 0.75 * reach)
        )
        noise = rng.standard_normal(light.shape[:2], dtype=np.float32)[..., None]
        return np.asarray(exposed + noise * np.float32(NOISE * rng.random()), np.float32)


def paste(source: FloatMap, mask: FloatMap, onto: FloatMap) -> tuple[FloatMap, FloatMap]:
    """Lay the painted defect on another part's crop, as bright as its new neighbourhood; (picture, its mask).

    Where nothing of the old neighbourhood is in view to compare with, the crop stays as it was.
    Source: CutPaste (Li et al., arXiv:2104.04015), section 2.2, with real defects in place of random patches.
    """
    painted = mask.astype(np.uint8)
    wide = np.ones((2 * RING_PX + 1, 2 * RING_PX + 1), np.uint8)
    feathered = cv2.GaussianBlur(
        cv2.dilate(painted, np.ones((5, 5), np.uint8)).astype(np.float32), (0, 0), FEATHER_PX
    )
    ring = (cv2.dilate(painted, wide) > 0) & (feathered < 0.02)
    if not painted.any() or ring.sum() < RING_PX:
        return onto, np.zeros_like(mask)
    factor = onto[ring].mean(axis=0) / np.maximum(source[ring].mean(axis=0), 0.02)
    alpha = np.asarray(feathered, np.float32)[..., None]
    return np.asarray(onto * (1 - alpha) + np.clip(source * factor, 0, 1) * alpha, np.float32), mask


def _by_part(examples: Sequence[Example]) -> list[list[_Picture]]:
    parts: dict[str, list[_Picture]] = {}
    for number, example in enumerate(examples):
        mask = example.mask if example.is_bad else None
        painted = np.argwhere(mask) if mask is not None else np.empty((0, 2), np.intp)
        painted = painted[:: 1 + len(painted) // MOST_CENTRES]
        parts.setdefault(example.group or f"#{number}", []).append(_Picture(example.pixels, mask, painted))
    return list(parts.values())


def _pick(parts: list[list[_Picture]], rng: np.random.Generator) -> _Picture:
    part = parts[rng.integers(len(parts))]
    return part[rng.integers(len(part))]
