"""Tiny parts for classifiers: grey noise; bad ones carry a bright square or a dark bar."""

import numpy as np

from vision.predictor import Example

SIDE = 64


def part(seed, defect=""):
    """(pixels, where the defect is as rows and columns)"""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(90, 140, (SIDE, SIDE, 3)).astype(np.uint8)
    y, x = rng.integers(4, SIDE - 28, 2)
    if defect == "spot":
        pixels[y : y + 20, x : x + 20] = 250
    elif defect == "bar":
        pixels[y : y + 8, :] = 5
    return pixels, (slice(y, y + 20), slice(x, x + 20))


def examples(good, bad, *, defects=("spot",), first=0):
    """Two pictures of each part, in one group."""
    made = [Example(part(first + n)[0], is_bad=False, group=f"g{first + n // 2}") for n in range(good)]
    for n in range(bad):
        defect = defects[n % len(defects)]
        pixels = part(first + 500 + n, defect)[0]
        made.append(Example(pixels, is_bad=True, defect=defect, group=f"b{first + n // (2 * len(defects))}"))
    return made
