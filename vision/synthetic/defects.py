"""The defects that machining and handling leave, each with its mask."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.predictor import FloatMap
from vision.synthetic.geometry import BOLT, BORE, OUTER, SIZE_PX, STEP, Pose

Defect = Literal["scratch", "dent", "stain", "crack", "chip"]
DEFECTS: tuple[Defect, ...] = ("scratch", "dent", "stain", "crack", "chip")
Mask = NDArray[np.uint8]  # HxW, 255 where the defect is
_SUB = 4  # lines are drawn to a sixteenth of a pixel (cv2 fixed-point bits)


@dataclass(frozen=True)
class Mark:
    """What a defect does to the picture.

    mask    HxW, 255 where it is
    relief  HxW, height in units whose slope of 1 doubles or kills the light
    tone    HxWx3, factor on the metal's colour
    """

    mask: Mask
    relief: FloatMap
    tone: FloatMap


def scratch(rng: np.random.Generator, pose: Pose) -> Mark:
    """A tool or a neighbour slid over the face: a bright furrow with a dark side, fading at its ends."""
    strength = _strength(rng)
    start = np.array(_on_face(rng, pose))
    heading, length = rng.uniform(0, 2 * np.pi), rng.uniform(45, 150)
    bend = rng.normal(0, 0.25)
    steps = np.linspace(0, 1, 24)
    headings = heading + bend * steps
    path = start + np.cumsum(np.stack([np.cos(headings), np.sin(headings)], 1), axis=0) * length / len(steps)
    furrow: FloatMap = np.zeros((SIZE_PX, SIZE_PX), np.float32)
    for number in range(len(path) - 1):
        fade = float(np.sin(np.pi * (number + 1) / len(path)) ** 0.5)
        _line(furrow, path[number : number + 2], fade, 1)
    furrow = _soft(furrow, float(rng.uniform(0.6, 0.9)))
    light = 1 + (0.25 + 0.9 * strength) * furrow - 0.5 * strength * np.roll(furrow, (2, 1), axis=(0, 1))
    return Mark(_above(furrow, 0.12), -0.25 * strength * furrow, _grey(light))


def dent(rng: np.random.Generator, pose: Pose) -> Mark:
    """Something hard fell on it: a bowl with a raised rim, light on one side and dark on the other."""
    strength = _strength(rng)
    column, row = _on_face(rng, pose)
    size = float(rng.uniform(7, 16))
    x, y = _axes()
    turn, stretch = float(rng.uniform(0, np.pi)), float(rng.uniform(0.75, 1.0))
    along = (x - column) * math.cos(turn) + (y - row) * math.sin(turn)
    across = (-(x - column) * math.sin(turn) + (y - row) * math.cos(turn)) / stretch
    distance = (np.sqrt(along**2 + across**2) / size).astype(np.float32)
    bowl = np.exp(-(distance**2) * 1.6)
    rim = np.exp(-(((distance - 1.25) / 0.35) ** 2)) * 0.22
    relief = (rim - bowl) * np.float32((0.07 + 0.24 * strength) * size / 9)
    inside = np.where(distance < 1.25, 255, 0).astype(np.uint8)
    return Mark(inside, relief.astype(np.float32), _grey(1 - 0.18 * strength * bowl))


def stain(rng: np.random.Generator, pose: Pose) -> Mark:
    """Coolant or rust dried on the face: a ragged brownish patch, darker at its border."""
    strength = _strength(rng)
    column, row = _on_face(rng, pose)
    size = float(rng.uniform(14, 34))
    x, y = _axes()
    distance = (np.sqrt((x - column) ** 2 + ((y - row) / float(rng.uniform(0.6, 1.4))) ** 2) / size).astype(
        np.float32
    )
    ragged = _clouds(rng, 14) * 0.30 + _clouds(rng, 48) * 0.14
    level = 1 - distance + ragged
    body = np.clip(level * 3, 0, 1) * np.where(distance < 2.2, 1, 0)
    border = np.exp(-((level / 0.10) ** 2)) * np.where(distance < 2.2, 1, 0)
    amount = (body * (0.75 + 0.25 * _clouds(rng, 40)) + 0.45 * border) * (0.10 + 0.38 * strength)
    tint = np.array([0.62, 0.85, 1.05], np.float32)  # how much of each colour it takes away
    tone = 1 - np.clip(amount, 0, 0.8)[:, :, None].astype(np.float32) * tint
    return Mark(_above(body.astype(np.float32), 0.3), np.zeros((SIZE_PX, SIZE_PX), np.float32), tone)


def crack(rng: np.random.Generator, pose: Pose) -> Mark:
    """A thin dark jagged line that starts at an edge and wanders, sometimes with a branch."""
    strength = _strength(rng)
    x, y, heading = _at_edge(rng, pose)
    line: FloatMap = np.zeros((SIZE_PX, SIZE_PX), np.float32)
    branches = [(np.array(pose.to_px(x, y)), heading, rng.uniform(40, 110))]
    if rng.random() < 0.5:
        branches.append((branches[0][0], heading + rng.choice([-0.6, 0.6]), branches[0][2] * 0.5))
    width = 2 if strength > 0.45 else 1
    for place, course, length in branches:
        walked = 0.0
        while walked < length:
            step = rng.uniform(2.5, 6)
            course += rng.normal(0, 0.32) - 0.2 * (course - heading)
            target = place + step * np.array([np.cos(course), np.sin(course)])
            _line(line, np.array([place, target]), 1 - 0.6 * walked / length, width)
            place, walked = target, walked + step
    line = _soft(line, 0.6)
    edge = np.roll(line, (1, 1), axis=(0, 1))
    light = 1 - (0.35 + 0.9 * strength) * line + 0.25 * strength * edge
    return Mark(_above(line, 0.15), np.zeros_like(line), _grey(np.clip(light, 0.12, 1.5)))


def chip(rng: np.random.Generator, pose: Pose) -> Mark:
    """A bite out of an edge: broken metal with rough, glittering facets."""
    strength = _strength(rng)
    x, y, _ = _at_edge(rng, pose)
    column, row = pose.to_px(x, y)
    size = float(rng.uniform(6, 10)) + 10 * strength
    grid_x, grid_y = _axes()
    distance = (np.sqrt((grid_x - column) ** 2 + (grid_y - row) ** 2) / size).astype(np.float32)
    level = 1 - distance + 0.28 * _clouds(rng, 60)
    body = np.clip(level * 5, 0, 1) * np.where(distance < 1.8, 1, 0)
    facets = _clouds(rng, 110) * 0.30 + _clouds(rng, 40) * 0.25
    rim = np.exp(-((level / 0.10) ** 2)) * np.where(distance < 1.8, 1, 0)
    light = 1 - body * (0.30 + 0.25 * strength) + body * facets + rim * 0.25 * strength
    relief = -body * np.float32(0.10 + 0.10 * strength)
    return Mark(
        _above(body.astype(np.float32), 0.4), relief.astype(np.float32), _grey(np.clip(light, 0.2, 1.7))
    )


DRAW: dict[Defect, Callable[[np.random.Generator, Pose], Mark]] = {
    "scratch": scratch,
    "dent": dent,
    "stain": stain,
    "crack": crack,
    "chip": chip,
}


def _strength(rng: np.random.Generator) -> float:
    """0 faint to 1 plain: about one in eight below .25."""
    return float(rng.beta(1.6, 0.9))


def _axes() -> tuple[FloatMap, FloatMap]:
    """Pixel columns 1xW and rows Hx1; float32 keeps what is made of them small."""
    axis = np.arange(SIZE_PX, dtype=np.float32)
    return axis[None, :], axis[:, None]


def _on_face(rng: np.random.Generator, pose: Pose) -> tuple[float, float]:
    """A pixel place on bare metal: on the flange between the holes, or on the boss."""
    while True:
        radius, angle = rng.uniform(BORE + 0.06, OUTER - 0.06), rng.uniform(0, 2 * np.pi)
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        clear = all(np.hypot(x - cx, y - cy) > BOLT + 0.05 for cx, cy in pose.bolt_holes())
        if clear and abs(radius - STEP) > 0.04:
            return pose.to_px(float(x), float(y))


def _at_edge(rng: np.random.Generator, pose: Pose) -> tuple[float, float, float]:
    """A place on an edge in part coordinates, and the heading from there into the metal."""
    kind = rng.choice(3)
    angle = float(rng.uniform(0, 2 * np.pi))
    if kind == 0:
        return OUTER * np.cos(angle), OUTER * np.sin(angle), angle + np.pi
    if kind == 1:
        return BORE * np.cos(angle), BORE * np.sin(angle), angle
    cx, cy = pose.bolt_holes()[int(rng.integers(len(pose.bolt_holes())))]
    return cx + BOLT * np.cos(angle), cy + BOLT * np.sin(angle), angle


def _line(canvas: FloatMap, path: NDArray[np.floating], value: float, thickness: int) -> None:
    points = np.rint(path * (1 << _SUB)).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(
        canvas, [points], isClosed=False, color=value, thickness=thickness, lineType=cv2.LINE_8, shift=_SUB
    )


def _clouds(rng: np.random.Generator, cells: int) -> FloatMap:
    """Smooth noise, about -1..1, with so many cells along each side."""
    coarse = rng.normal(0, 0.6, (cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _soft(canvas: FloatMap, sigma_px: float) -> FloatMap:
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), sigma_px), dtype=np.float32)


def _above(amount: FloatMap, limit: float) -> Mask:
    return np.where(amount > limit, 255, 0).astype(np.uint8)


def _grey(light: FloatMap) -> FloatMap:
    return np.asarray(light, dtype=np.float32)[:, :, None]
