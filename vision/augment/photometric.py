"""Other light, another lens, another sensor: the picture changes, its mask does not."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.augment.allowed import AllowedRange
from vision.predictor import Example, FloatMap, Image

_CHANCE = 0.5  # of each kind of change, so that clean pictures stay among the copies

Channels = NDArray[np.float32]  # HxWxC, 0..1; a mono camera's picture has one channel


def relit(example: Example, allowed: AllowedRange, rng: np.random.Generator) -> Example:
    """The same part under the same lens on another day, in the order in which light becomes a file."""
    is_mono = _is_mono(example.pixels)
    pixels = example.pixels[:, :, :1] if is_mono else example.pixels
    curve = _tone_curve(allowed, rng, mean=float(pixels.mean()) / 255)
    kernels = _blurs(allowed, rng)
    noise = _drawn_noise(allowed, rng)
    is_relit = curve is not None or bool(kernels) or noise is not None
    if is_relit:
        light: Channels = (_IDENTITY if curve is None else curve)[pixels]
        for kernel in kernels:
            light = _filtered(light, kernel)
        if noise is not None:
            light = _noisy(light, rng, shot=noise[0], read=noise[1])
        pixels = np.rint(light.clip(0, 1) * 255).astype(np.uint8)
    is_compressed = allowed.jpeg_quality_from < 100 and rng.random() < _CHANCE
    if is_compressed:
        pixels = _compressed(pixels, quality=int(rng.integers(allowed.jpeg_quality_from, 100)))
    if not (is_relit or is_compressed):
        return example
    return replace(example, pixels=np.repeat(pixels, 3, axis=2) if is_mono else pixels)


_IDENTITY: NDArray[np.float32] = (np.arange(256) / 255).astype(np.float32)


def _tone_curve(
    allowed: AllowedRange, rng: np.random.Generator, *, mean: float
) -> NDArray[np.float32] | None:
    """256 grey values: exposure, then gamma, then contrast about the mean grey; None where none was drawn."""
    curve = np.arange(256) / 255
    changed = False
    if allowed.exposure_stops and rng.random() < _CHANCE:
        factor = 2 ** rng.uniform(-allowed.exposure_stops, allowed.exposure_stops)
        curve, mean, changed = (curve * factor).clip(0, 1), min(mean * factor, 1.0), True
    if allowed.gamma and rng.random() < _CHANCE:
        reach = np.log(1 + allowed.gamma)
        exponent = np.exp(rng.uniform(-reach, reach))
        curve, mean, changed = curve**exponent, mean**exponent, True
    if allowed.contrast and rng.random() < _CHANCE:
        curve, changed = mean + (curve - mean) * (1 + rng.uniform(-allowed.contrast, allowed.contrast)), True
    return curve.clip(0, 1).astype(np.float32) if changed else None


def _blurs(allowed: AllowedRange, rng: np.random.Generator) -> list[FloatMap]:
    """Kernels, out of focus and in motion."""
    kernels = []
    if allowed.blur_px and rng.random() < _CHANCE:
        sigma = max(rng.uniform(0, allowed.blur_px), 1e-3)
        line = cv2.getGaussianKernel(2 * int(np.ceil(3 * sigma)) + 1, sigma)
        kernels.append((line @ line.T).astype(np.float32))
    if allowed.motion_px and rng.random() < _CHANCE:
        kernels.append(motion_kernel(rng.uniform(0, allowed.motion_px), angle=rng.uniform(0, np.pi)))
    return kernels


def motion_kernel(length_px: float, *, angle: float) -> FloatMap:
    """The path of a point that moves evenly along a line while the shutter is open; its sum is 1."""
    reach = int(np.ceil(length_px / 2)) + 1
    steps = np.linspace(-length_px / 2, length_px / 2, 4 * reach + 1)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    x, y = reach + steps * np.cos(angle), reach + steps * np.sin(angle)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        share = np.abs(1 - right - (x - left)) * np.abs(1 - down - (y - top))
        np.add.at(kernel, (np.minimum(top + down, 2 * reach), np.minimum(left + right, 2 * reach)), share)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _filtered(light: Channels, kernel: FloatMap) -> Channels:
    out = cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REFLECT)
    return np.asarray(out, np.float32).reshape(light.shape)


def _drawn_noise(allowed: AllowedRange, rng: np.random.Generator) -> tuple[float, float] | None:
    if not (allowed.shot_noise or allowed.read_noise) or rng.random() >= _CHANCE:
        return None
    return float(rng.uniform(0, allowed.shot_noise)), float(rng.uniform(0, allowed.read_noise))


def _noisy(light: Channels, rng: np.random.Generator, *, shot: float, read: float) -> Channels:
    """Variance = shot^2 * light + read^2, drawn as normal.

    Source: Foi et al., Practical Poissonian-Gaussian Noise Modeling and Fitting for Single-Image Raw-Data
    (IEEE TIP 17, 2008), section II: variance = a * light + b, here in its normal approximation.
    """
    spread = np.sqrt(np.float32(shot**2) * light.clip(0, 1) + np.float32(read**2))
    return np.asarray(light + rng.standard_normal(light.shape, dtype=np.float32) * spread, np.float32)


def _compressed(pixels: Image, *, quality: int) -> Image:
    """Through JPEG and back; cv2 takes BGR, which matters to the chroma of colour pictures."""
    is_mono = pixels.shape[2] == 1
    encoded, content = cv2.imencode(
        ".jpg", pixels if is_mono else pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not encoded:
        raise ValueError(
            f"A picture of {pixels.shape[1]}x{pixels.shape[0]} pixels cannot be compressed as JPEG."
        )
    decoded = np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE if is_mono else cv2.IMREAD_COLOR))
    return np.asarray(decoded[:, :, None] if is_mono else np.ascontiguousarray(decoded[:, :, ::-1]), np.uint8)


def _is_mono(pixels: Image) -> bool:
    """A mono camera gives each pixel one noise, not three."""
    return bool((pixels[:, :, 0] == pixels[:, :, 1]).all() and (pixels[:, :, 1] == pixels[:, :, 2]).all())
