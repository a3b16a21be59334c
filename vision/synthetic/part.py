"""One photograph of one flange: turned metal, chamfers, shadow, fixture, lens and sensor.

Turning grooves spread a highlight across their own direction, which gives the bright fans of turned metal
(anisotropic reflection, Ward 1992, much simplified); relief is shaded by its slope towards the light.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.predictor import FloatMap, Image
from vision.synthetic.defects import DRAW, Defect, Mask
from vision.synthetic.geometry import BORE, CHAMFER, OUTER, SIZE_PX, STEP, Pose, Shape, covered, shape

_METAL = np.array([0.95, 0.99, 1.04], np.float32)
_CURVE = np.rint((np.arange(4096) / 4095) ** (1 / 1.35) * 255).astype(np.uint8)  # the camera's tone curve
_FIXTURE = np.array([0.115, 0.12, 0.13], np.float32)


def render_part(rng: np.random.Generator, defect: Defect | None = None) -> tuple[Image, Mask]:
    """One part, 512x512 RGB, and its mask: 255 where the defect is, all 0 for a good part.

    The defect's strength is drawn too: some are so faint that an honest inspector hesitates.
    """
    pose = Pose(
        dx=float(rng.normal(0, 0.006)),
        dy=float(rng.normal(0, 0.006)),
        scale=1 + float(rng.normal(0, 0.005)),
        turn=float(rng.normal(0, 0.03)),
    )
    light = float(rng.normal(-2.2, 0.08))  # direction the main light comes from; upper left
    form = shape(pose)
    metal = form.metal()
    picture = _turned_metal(rng, form, light)[:, :, None] * _METAL
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    if defect is not None:
        mark = DRAW[defect](rng, pose)
        slope_x, slope_y = _slope(mark.relief)
        relief = 1 + slope_x * math.cos(light) + slope_y * math.sin(light)
        picture *= np.clip(relief, 0.25, 1.9)[:, :, None]
        picture *= mark.tone
        mask = np.where(metal > 0.5, mark.mask, 0).astype(np.uint8)
    picture = _on_fixture(rng, picture, metal, form, light)
    return _photographed(rng, picture, light), mask


def _turned_metal(rng: np.random.Generator, form: Shape, light: float) -> FloatMap:
    """Brightness of the bare metal, 0..1."""
    grooves = _by_radius(_noise_line(rng, [(1, 0.55), (3, 0.5), (12, 0.35)]), form.radius)
    wobble = _by_radius(_noise_line(rng, [(6, 0.5), (40, 0.6)]), form.radius) * np.float32(0.10)
    bearing = form.angle - np.float32(light) + wobble
    fan: NDArray[np.floating] = np.exp(-((np.sin(bearing) / 0.42) ** 2)) * 0.75
    fan += np.exp(-((np.sin(bearing - 1.15) / 0.30) ** 2)) * 0.35
    towards = _facing(form.x, form.y, light)

    flat: NDArray[np.floating] = 0.34 + 0.35 * fan + grooves * (0.020 + 0.055 * fan)
    boss = covered(STEP - form.radius)
    flat = flat * (0.92 + 0.12 * boss)
    # The boss stands up: a dark foot on the far side, a soft glow on the near one.
    foot = np.exp(-((np.maximum(form.radius - STEP, 0) / 0.045) ** 2)) * (1 - boss)
    flat = flat * (1 - foot * (0.28 - 0.22 * towards))
    flat = _chamfer(flat, STEP - form.radius, 0.50 + 0.34 * towards)
    flat = _chamfer(flat, OUTER - form.radius, 0.46 + 0.36 * towards)
    flat = _chamfer(flat, form.radius - BORE, 0.48 - 0.34 * towards)
    at_hole = _facing(*_slope(form.hole), light)
    return np.asarray(_chamfer(flat, form.hole, 0.47 - 0.33 * at_hole), dtype=np.float32)


def _on_fixture(
    rng: np.random.Generator, metal_picture: FloatMap, metal: FloatMap, form: Shape, light: float
) -> FloatMap:
    """Lay the part on a dark plate that it shades, and look down through its holes."""
    plate = cv2.resize(
        rng.normal(0, 1, (128, 128)).astype(np.float32), (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC
    )
    shift_x, shift_y = (-0.05 * f(light) for f in (math.cos, math.sin))
    beside = cv2.magnitude(form.x - shift_x, form.y - shift_y) - np.float32(OUTER)
    shadow = 1 - 0.75 * np.exp(-np.maximum(beside, 0) / 0.07)
    inside = np.minimum(np.minimum(form.radius - BORE, form.hole), 0)  # how deep into a hole
    depth = 0.35 + 0.65 * np.exp(inside / 0.05)
    ground = (1 + 0.06 * plate) * np.where(form.radius < OUTER, 0.42 * depth, shadow)
    coverage = metal[:, :, None]
    return np.asarray(
        metal_picture * coverage + ground[:, :, None] * _FIXTURE * (1 - coverage), dtype=np.float32
    )


def _photographed(rng: np.random.Generator, picture: FloatMap, light: float) -> Image:
    """Uneven light, lens blur, shot noise, exposure and the sensor's eight bits."""
    axis = np.linspace(-1, 1, SIZE_PX, dtype=np.float32)
    fall = 1 + 0.05 * (axis[None, :] * math.cos(light) + axis[:, None] * math.sin(light))
    fall -= 0.07 * (axis[None, :] ** 2 + axis[:, None] ** 2)
    exposure = 1.12 * (1 + float(rng.normal(0, 0.02)))
    blurred = cv2.GaussianBlur(picture * (fall * exposure)[:, :, None], (0, 0), 0.75)
    grain = rng.standard_normal((SIZE_PX, SIZE_PX, 1), dtype=np.float32)
    noisy = blurred + grain * (0.006 + 0.012 * np.sqrt(np.maximum(blurred, 0)))
    return np.asarray(_CURVE[(np.clip(noisy, 0, 1) * 4095).astype(np.int16)], dtype=np.uint8)


def _chamfer(
    flat: NDArray[np.floating], inwards: FloatMap, brightness: NDArray[np.floating]
) -> NDArray[np.floating]:
    """A broken edge of its own brightness, CHAMFER wide, with the fine dark line where the faces meet."""
    on_edge = covered(inwards) * covered(CHAMFER - inwards)
    line = np.exp(-(((inwards - CHAMFER) / 0.004) ** 2)) * 0.22
    return (flat * (1 - on_edge) + brightness * on_edge) * (1 - line)


def _slope(distance: FloatMap) -> tuple[FloatMap, FloatMap]:
    """(dx, dy) of a map."""
    return (
        np.asarray(cv2.Sobel(distance, cv2.CV_32F, 1, 0), dtype=np.float32),
        np.asarray(cv2.Sobel(distance, cv2.CV_32F, 0, 1), dtype=np.float32),
    )


def _facing(x: FloatMap, y: FloatMap, light: float) -> NDArray[np.floating]:
    """Cosine between each direction (x, y) and the light: 1 on the side that faces it."""
    return (x * math.cos(light) + y * math.sin(light)) / (cv2.magnitude(x, y) + np.float32(1e-6))


def _noise_line(rng: np.random.Generator, layers: list[tuple[int, float]]) -> FloatMap:
    """A 1-D noise of several wavelengths in pixels, each with its amplitude."""
    line = np.zeros(SIZE_PX, np.float32)
    places = np.arange(SIZE_PX)
    for wavelength, amplitude in layers:
        count = SIZE_PX // wavelength + 2
        line += amplitude * np.interp(places, np.arange(count) * wavelength, rng.normal(0, 1, count)).astype(
            np.float32
        )
    return line


def _by_radius(line: FloatMap, radius: FloatMap) -> FloatMap:
    """Wrap a line around the centre: every groove is a circle, one pixel of radius one step of the line."""
    place = np.minimum(radius, 1.49) * np.float32(SIZE_PX / 3)
    low = place.astype(np.int32)
    part = place - low
    return np.asarray(line[low] * (1 - part) + line[low + 1] * part, dtype=np.float32)
