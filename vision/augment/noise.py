"""Smooth random fields: the ragged outlines of stains and of DRAEM's masks."""

import numpy as np

from vision.predictor import FloatMap


def perlin(rng: np.random.Generator, *, height: int, width: int, cells_y: int, cells_x: int) -> FloatMap:
    """HxW gradient noise, about -1..1, with so many cells along each side.

    Source: Perlin, Improving Noise (SIGGRAPH 2002): unit gradients at the cells' corners, blended by 6t^5 - 15t^4 + 10t^3.
    """
    angles = rng.uniform(0, 2 * np.pi, (cells_y + 1, cells_x + 1))
    slope_x, slope_y = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    y = ((np.arange(height, dtype=np.float32) + np.float32(0.5)) * np.float32(cells_y / height))[:, None]
    x = ((np.arange(width, dtype=np.float32) + np.float32(0.5)) * np.float32(cells_x / width))[None, :]
    row = np.minimum(y.astype(np.int32), cells_y - 1)
    column = np.minimum(x.astype(np.int32), cells_x - 1)
    along_y, along_x = y - row, x - column

    def ramp(down: int, right: int) -> FloatMap:
        corner = (row + down, column + right)
        return np.asarray(
            slope_x[corner] * (along_x - right) + slope_y[corner] * (along_y - down), np.float32
        )

    fade_y, fade_x = _fade(along_y), _fade(along_x)
    above = ramp(0, 0) * (1 - fade_x) + ramp(0, 1) * fade_x
    below = ramp(1, 0) * (1 - fade_x) + ramp(1, 1) * fade_x
    return np.asarray((above * (1 - fade_y) + below * fade_y) * np.float32(2**0.5), np.float32)


def clouds(rng: np.random.Generator, *, height: int, width: int, cells: int, octaves: int = 3) -> FloatMap:
    """Perlin noise at several sizes, each half as strong as the one before; about -1..1."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        count = cells * 2**octave
        total += perlin(rng, height=height, width=width, cells_y=count, cells_x=count) * np.float32(
            0.5**octave
        )
    return total


def _fade(t: FloatMap) -> FloatMap:
    return np.asarray(t * t * t * (t * (t * 6 - 15) + 10), np.float32)
