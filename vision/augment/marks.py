"""Scratches, cracks, dents and stains on a photograph of a good part.

They are drawn on what is there: light is added, taken away or tinted, so that the part's own texture stays below them.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.augment.noise import clouds
from vision.predictor import Image

FEWEST_LEVELS = 10.0  # of 255: the faintest mark that an inspector may be asked to see

Light = NDArray[np.float32]  # hxwx3, 0..255


@dataclass(frozen=True)
class Patch:
    """New light for a rectangle that lies inside the picture."""

    top: int
    left: int
    light: Light


def scratch(image: Image, row: int, column: int, rng: np.random.Generator) -> Patch:
    """Something hard slid over the part: a furrow with a light and a dark side, skipping, sometimes with companions."""
    side = side_of(image)
    length = side * rng.uniform(0.08, 0.45)
    path = _path(row, column, rng, length=length, bend=0.35, jitter=0.015)
    width = max(0.55, side / 500 * rng.uniform(0.5, 1.6))
    polarity = 1.0 if rng.random() < 0.6 else -1.0
    lines = [(path, width, 1.0)]
    if rng.random() < 0.35:
        course = path[-1] - path[0]
        normal = np.array([-course[1], course[0]]) / max(float(np.hypot(*course)), 1e-6)
        for _ in range(int(rng.integers(1, 4))):
            first, last = sorted(rng.choice(len(path), 2, replace=False))
            beside = normal * rng.normal(0, 5 * width + 1.5)
            lines.append((path[first : last + 1] + beside, width * 0.8, rng.uniform(0.3, 0.8)))
    top, left, crop = _around(image, np.concatenate([each[0] for each in lines]), reach=6 * width + 2)
    strength = _levels(crop) * rng.uniform(1.2, 4.5)
    light = crop
    for line, half_width, share in lines:
        rows, columns, across, along, total = _near(light, line - (top, left), reach=5 * half_width + 1)
        furrow = np.exp(-((across / half_width) ** 2))
        lit_side = np.exp(-(((across - 1.7 * half_width) / half_width) ** 2))
        pressure = _pressure(along, total, rng)
        change = polarity * strength * share * pressure * (furrow - 0.45 * lit_side)
        light[rows, columns] += change.astype(np.float32)[:, None]
    return Patch(top, left, light)


def crack(image: Image, row: int, column: int, rng: np.random.Generator) -> Patch:
    """The material gave way: a thin dark jagged line that narrows, sometimes with a branch."""
    side = side_of(image)
    length = side * rng.uniform(0.08, 0.4)
    stem = _path(row, column, rng, length=length, bend=0.5, jitter=0.30)
    lines = [stem]
    if rng.random() < 0.35:
        at = stem[int(rng.integers(len(stem)))]
        lines.append(_path(at[0], at[1], rng, length=length * rng.uniform(0.2, 0.5), bend=0.5, jitter=0.30))
    width = max(0.6, side / 450 * rng.uniform(0.5, 1.4))
    top, left, crop = _around(image, np.concatenate(lines), reach=4 * width + 2)
    depth = rng.uniform(0.35, 0.85)  # share of the light that does not come back
    least = _levels(crop) * 1.5
    light = crop
    for line in lines:
        rows, columns, across, along, total = _near(light, line - (top, left), reach=3 * width + 1)
        narrowing = width * (1 - 0.6 * along / max(total, 1e-6))
        dark = np.exp(-((across / np.maximum(narrowing, 0.45)) ** 2)) * _pressure(along, total, rng)
        here = light[rows, columns]
        taken = np.maximum(here * depth, least) * dark.astype(np.float32)[:, None]
        light[rows, columns] = here - taken
    return Patch(top, left, light)


def dent(image: Image, row: int, column: int, rng: np.random.Generator) -> Patch:
    """Something fell on it: a bowl with a raised rim, light on the side that faces the lamp and dark on the other."""
    side = side_of(image)
    size = max(1.5, side * rng.uniform(0.012, 0.05))
    top, left, crop = _around(image, np.array([[row, column]]), reach=2.6 * size)
    y = np.arange(top, top + crop.shape[0], dtype=np.float32)[:, None] - row
    x = np.arange(left, left + crop.shape[1], dtype=np.float32)[None, :] - column
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(0.6, 1.0)
    along = x * math.cos(turn) + y * math.sin(turn)
    across = (-x * math.sin(turn) + y * math.cos(turn)) / stretch
    distance = np.hypot(along, across) / size
    distance = distance * (
        1 + 0.12 * clouds(rng, height=crop.shape[0], width=crop.shape[1], cells=4, octaves=2)
    )
    relief = 0.25 * np.exp(-(((distance - 1.3) / 0.35) ** 2)) - np.exp(-(distance**2) * 1.6)
    slope_y = np.gradient(relief, axis=0) if crop.shape[0] > 1 else np.zeros_like(relief)
    slope_x = np.gradient(relief, axis=1) if crop.shape[1] > 1 else np.zeros_like(relief)
    lamp = rng.uniform(0, 2 * np.pi)
    shading = (slope_x * math.cos(lamp) + slope_y * math.sin(lamp)) * size
    strength = _levels(crop) * rng.uniform(1.5, 4.0)
    shaded = strength * (shading - 0.35 * np.exp(-(distance**2) * 1.6))
    return Patch(top, left, (crop + shaded.astype(np.float32)[:, :, None]).astype(np.float32))


def stain(image: Image, row: int, column: int, rng: np.random.Generator) -> Patch:
    """A drop dried on it: a ragged patch that takes light, most of it at the border, or a bright greasy film."""
    side = side_of(image)
    size = max(2.0, side * rng.uniform(0.03, 0.13))
    top, left, crop = _around(image, np.array([[row, column]]), reach=2.2 * size)
    height, width = crop.shape[:2]
    y = np.arange(top, top + height, dtype=np.float32)[:, None] - row
    x = np.arange(left, left + width, dtype=np.float32)[None, :] - column
    distance = np.hypot(x, y / rng.uniform(0.6, 1.6)) / size
    level = 1 - distance + 0.55 * clouds(rng, height=height, width=width, cells=3)
    body = np.clip(level * rng.uniform(2, 6), 0, 1)
    border = np.exp(-((level / 0.12) ** 2)) * rng.uniform(0, 0.8)
    inside = np.clip((2.1 - distance) / 0.3, 0, 1)  # nothing reaches the rectangle's edge
    amount = inside * (body * (0.8 + 0.3 * clouds(rng, height=height, width=width, cells=6)) + border)
    strength = _levels(crop) * rng.uniform(1.0, 3.0)
    colour = np.ones(3) if _is_grey(crop) else rng.uniform(0.4, 1.0, 3)
    sign = -1.0 if rng.random() < 0.7 else 1.0
    relative = crop / max(
        float(crop.mean()), 1.0
    )  # it takes a share of the light, so bright grain stays brighter
    change = sign * strength * amount[:, :, None] * colour * (0.4 + 0.6 * relative)
    return Patch(top, left, (crop + change).astype(np.float32))


def _levels(crop: Light) -> float:
    """Grey levels that stand out of this texture: 12 % of its light, or 1.5 sigma of its grain."""
    grey = crop.mean(axis=2)
    grain = grey - cv2.blur(grey, (5, 5), borderType=cv2.BORDER_REPLICATE)
    return max(FEWEST_LEVELS, 0.12 * float(grey.mean()), 1.5 * float(grain.std()))


def _path(
    row: float, column: float, rng: np.random.Generator, *, length: float, bend: float, jitter: float
) -> NDArray[np.float64]:
    """Points (row, column) of a walk through this place; it bends evenly and swerves by `jitter` radians a step."""
    count = int(np.clip(length / 4, 6, 60))
    swerve = rng.normal(0, jitter, count)
    swerve -= 0.3 * np.cumsum(swerve)  # pulled back to its course
    heading = rng.uniform(0, 2 * np.pi) + bend * rng.normal() * np.linspace(-0.5, 0.5, count) + swerve
    steps = np.stack([np.sin(heading), np.cos(heading)], axis=1) * (length / count)
    walk = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    return np.asarray(walk - walk[int(rng.integers(len(walk)))] + (row, column), np.float64)


def _around(image: Image, points: NDArray[np.floating], *, reach: float) -> tuple[int, int, Light]:
    """(top, left, copy) of the picture around the points, clipped to the picture and never empty."""
    height, width = image.shape[:2]
    low, high = np.floor(points.min(axis=0) - reach), np.ceil(points.max(axis=0) + reach) + 1
    top, left = int(np.clip(low[0], 0, height - 1)), int(np.clip(low[1], 0, width - 1))
    bottom, right = int(np.clip(high[0], top + 1, height)), int(np.clip(high[1], left + 1, width))
    return top, left, image[top:bottom, left:right].astype(np.float32)


def _near(
    light: Light, line: NDArray[np.float64], *, reach: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64], NDArray[np.float64], float]:
    """(rows, columns, across, along, total): pixels near a polyline, their signed distance and way along it."""
    canvas = np.zeros(light.shape[:2], np.uint8)
    corners = np.rint(line[:, ::-1]).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(canvas, [corners], isClosed=False, color=1, thickness=2 * math.ceil(reach) + 1)
    rows, columns = np.nonzero(canvas)
    places = np.stack([rows, columns], axis=1).astype(np.float64)
    nearest = np.full(len(places), np.inf)
    across, along = np.zeros(len(places)), np.zeros(len(places))
    walked = 0.0
    for start, end in pairwise(line):
        course = end - start
        length = max(float(np.hypot(*course)), 1e-9)
        way = np.clip((places - start) @ course / length, 0, length)
        off = places - start - way[:, None] * (course / length)
        distance = np.hypot(off[:, 0], off[:, 1])
        closer = distance < nearest
        side = np.sign(off[:, 0] * course[1] - off[:, 1] * course[0])
        nearest[closer] = distance[closer]
        across[closer], along[closer] = (distance * side)[closer], (walked + way)[closer]
        walked += length
    return rows, columns, across, along, walked


def _pressure(along: NDArray[np.float64], total: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """0..1 along the line: fading at both ends, uneven between, sometimes lifted off."""
    share = along / max(total, 1e-9)
    knots = rng.uniform(0.35, 1.3, max(4, int(total / 12) + 2))
    uneven = np.interp(share, np.linspace(0, 1, len(knots)), knots).clip(0, 1)
    return np.asarray(uneven * np.sin(np.pi * (0.04 + 0.92 * share)) ** 0.5, np.float64)


def _is_grey(light: Light) -> bool:
    return bool((light[:, :, 0] == light[:, :, 1]).all() and (light[:, :, 1] == light[:, :, 2]).all())


def side_of(image: Image) -> float:
    """Side of the square with as many pixels: what sizes of marks are told in."""
    return math.sqrt(image.shape[0] * image.shape[1])
