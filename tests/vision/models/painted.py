"""Small grey parts with painted dark dots: enough to teach a network within seconds."""

import numpy as np

from vision.predictor import Example


def small_part(seed, *, is_bad=False, painted=True, group="", height=96, width=128):
    """Grey noise; a bad one has a dark dot."""
    rng = np.random.default_rng(seed)
    grey = 140 + rng.normal(0, 6, (height, width))
    mask = np.zeros((height, width), bool)
    if is_bad:
        row, column = rng.integers(16, height - 16), rng.integers(16, width - 16)
        mask[row - 5 : row + 6, column - 5 : column + 6] = True
        grey[mask] = 40
    pixels = np.repeat(grey.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    return Example(pixels, is_bad, "dot" if is_bad else "", mask if is_bad and painted else None, group)


def small_parts(*, good=10, bad=8, seed=0):
    """Each a part of its own."""
    kinds = [False] * good + [True] * bad
    return [small_part(1000 * seed + n, is_bad=is_bad, group=f"{seed}-{n}") for n, is_bad in enumerate(kinds)]
