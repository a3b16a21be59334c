"""Small pictures for these tests."""

import numpy as np

from vision.predictor import Example


def textured(height=48, width=64, *, seed=0, is_grey=True, level=120.0):
    """A turned-metal-like surface: vertical grain under uneven light."""
    rng = np.random.default_rng(seed)
    light = level + 30 * np.linspace(-1, 1, width) + rng.normal(0, 6, width)
    channels = 1 if is_grey else 3
    pixels = light[None, :, None] + rng.normal(0, 3, (height, width, channels))
    return np.repeat(pixels, 4 - channels, axis=2)[:, :, :3].clip(0, 255).astype(np.uint8)


def good_part(height=48, width=64, *, seed=0, group="tile 1", is_grey=True):
    return Example(textured(height, width, seed=seed, is_grey=is_grey), is_bad=False, group=group)


def marked_part(row=20, column=30, *, height=48, width=64, seed=0, size=5):
    """A dark part with one white square, painted exactly."""
    pixels = np.full((height, width, 3), 30, np.uint8)
    mask = np.zeros((height, width), bool)
    mask[row : row + size, column : column + size] = True
    pixels[mask] = 250
    return Example(pixels, is_bad=True, defect="spot", mask=mask, group="tile 9")
