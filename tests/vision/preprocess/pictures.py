"""Parts seen in another place, another light and with noise; and one part that has no mirror axis."""

import cv2
import numpy as np

from vision.preprocess.motion import mapped
from vision.synthetic import SIZE_PX, render_part

FLANGE = render_part(np.random.default_rng(0))[0]


def bracket(size=SIZE_PX):
    """An L of sheet metal with three different holes and an engraved number: no other way round looks the same."""
    picture = np.full((size, size, 3), 40, np.uint8)
    unit = size / 16
    outline = np.array([[2, 2], [7, 2], [7, 9], [14, 9], [14, 14], [2, 14]]) * unit
    cv2.fillPoly(picture, [outline.astype(np.int32)], (170, 172, 176), lineType=cv2.LINE_AA)
    for x, y, radius in ((4.5, 4, 1.1), (4, 11.5, 0.8), (12, 11.5, 1.5)):
        cv2.circle(picture, (int(x * unit), int(y * unit)), int(radius * unit), (30, 30, 30), -1, cv2.LINE_AA)
    cv2.putText(
        picture,
        "R47",
        (int(6 * unit), int(12.3 * unit)),
        cv2.FONT_HERSHEY_DUPLEX,
        size / 300,
        (60, 60, 60),
        3,
    )
    grain = np.random.default_rng(5).normal(0, 5, picture.shape)
    return np.clip(picture + cv2.GaussianBlur(grain, (0, 0), 1.2), 0, 255).astype(np.uint8)


def soft_pad(size=384, *, turned=0.0):
    """A blurred oval with a soft bump: no corner anywhere."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    angle = np.radians(20 + turned)
    along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    oval = 1 / (1 + np.exp((np.hypot(along / 0.33, across / 0.2) - 1) * 14))
    bump = np.exp(-(((along - 0.15) / 0.06) ** 2) - ((across / 0.06) ** 2))
    grey = 50 + 120 * oval + 50 * bump
    return np.repeat(np.rint(grey).astype(np.uint8)[:, :, None], 3, axis=2)


def motion(size, *, turn_deg=0.0, shift=(0.0, 0.0), scale=1.0, slant=0.0, rng=None):
    """Picture -> moved picture, about the middle; shift and slant in lengths of the side."""
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), turn_deg, scale)
    matrix[:2, 2] += np.array(shift) * size
    if slant:
        corners = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
        bent = corners + (rng.uniform(-slant, slant, (4, 2)) * size).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(corners, bent) @ matrix
    return matrix


def seen(picture, matrix, *, gain=1.0, gamma=1.0, noise=0.0, seed=0):
    """The picture moved, in another exposure, with sensor noise. What lay beyond its edge is as its surroundings."""
    size = (picture.shape[1], picture.shape[0])
    moved = cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    light = (moved / 255.0) ** gamma * gain * 255 + np.random.default_rng(seed).normal(0, noise, moved.shape)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def error_px(found, true, size):
    """Mean distance over the frame between where the two matrices put a pixel."""
    x, y = np.meshgrid(np.arange(0, size, 16.0), np.arange(0, size, 16.0))
    points = np.column_stack([x.ravel(), y.ravel()])
    return float(np.linalg.norm(mapped(found, points) - mapped(true, points), axis=1).mean())
