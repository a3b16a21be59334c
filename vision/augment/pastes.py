"""Foreign pixels on a good part: a piece of itself, a turned texture under a noise mask, a real defect of another part."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.augment.marks import Light, Patch, side_of
from vision.augment.noise import clouds
from vision.predictor import Example, FloatMap, Image, Mask

_PLACES = 24  # looked at for a real defect; the one whose light is nearest is taken
_FEATHER_PX = 3.0

Places = NDArray[np.intp]  # Nx2, (row, column)


def perlin_texture(image: Image, row: int, column: int, rng: np.random.Generator) -> Patch:
    """Another texture shows through where noise is high, more or less opaque.

    Source: Zavrtanik et al., DRAEM (arXiv:2108.07610), section 3.3 and equation 4: the noise is cut at a threshold,
    and the texture A replaces the picture I by I * beta + A * (1 - beta) inside the mask. There, A comes from a set of
    textures; here it is the part's own picture, turned, flipped and toned, and the mask stays near one place.
    """
    height, width = image.shape[:2]
    reach = max(2.0, side_of(image) * rng.uniform(0.06, 0.25))
    top, left = max(0, int(row - reach)), max(0, int(column - reach))
    bottom, right = min(height, int(row + reach) + 1), min(width, int(column + reach) + 1)
    crop = image[top:bottom, left:right].astype(np.float32)
    noise = clouds(rng, height=bottom - top, width=right - left, cells=int(rng.choice([2, 4])), octaves=2)
    y = (np.arange(top, bottom, dtype=np.float32)[:, None] - row) / reach
    x = (np.arange(left, right, dtype=np.float32)[None, :] - column) / reach
    level = (
        noise + np.float32(0.75) - np.hypot(x, y)
    )  # highest in the middle, below the cut at the rectangle's edge
    mask = np.clip((level - np.float32(0.35)) * 12, 0, 1).astype(np.float32)[:, :, None]
    flipped = image[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
    turned = np.rot90(flipped, int(rng.integers(4)))
    texture = cv2.resize(np.ascontiguousarray(turned), (crop.shape[1], crop.shape[0])).astype(np.float32)
    texture = (texture.reshape(crop.shape) * rng.uniform(0.5, 1.6) + rng.uniform(-40, 40)).astype(np.float32)
    beta = np.float32(rng.uniform(0.1, 0.8))
    return Patch(top, left, crop * (1 - mask) + mask * (crop * beta + texture * (1 - beta)))


def cutpaste(image: Image, row: int, column: int, rng: np.random.Generator) -> Patch:
    """A rectangle from elsewhere on the same part, a little brighter or darker.

    Source: Li et al., CutPaste (arXiv:2104.04015), section 2.2: area 2 to 15 % of the picture, aspect .3 to 3.3, colour jitter.
    """
    area = rng.uniform(0.02, 0.15) * image.shape[0] * image.shape[1]
    aspect = rng.uniform(0.3, 1.0) if rng.random() < 0.5 else rng.uniform(1.0, 3.3)
    height = int(np.clip(np.sqrt(area / aspect), 1, image.shape[0]))
    width = int(np.clip(np.sqrt(area * aspect), 1, image.shape[1]))
    piece = _cut(image, rng, height=height, width=width)
    alpha = np.ones((height, width), np.float32)
    return _pasted(image, row - height // 2, column - width // 2, piece=piece, alpha=alpha)


def scar(image: Image, row: int, column: int, rng: np.random.Generator) -> Patch:
    """A long thin rectangle from elsewhere on the same part, turned.

    Source: Li et al., CutPaste (arXiv:2104.04015), section 2.3: 2 to 16 px wide, 10 to 25 px long, turned by up to 45
    degrees, in pictures of 256 px.
    """
    unit = side_of(image) / 256
    width = int(np.clip(rng.uniform(2, 16) * unit, 1, image.shape[1]))
    length = int(np.clip(rng.uniform(10, 25) * unit, 1, image.shape[0]))
    piece = _cut(image, rng, height=length, width=width)
    alpha = np.ones((length, width), np.float32)
    piece, alpha = _turned(piece, alpha, degrees=rng.uniform(-45, 45))
    return _pasted(image, row - alpha.shape[0] // 2, column - alpha.shape[1] // 2, piece=piece, alpha=alpha)


def real_defect(good: Image, places: Places, donor: Example, rng: np.random.Generator) -> Patch:
    """One painted defect of a bad part with soft borders, where the good part's light is about what the donor's was.

    places  Nx2 (row, column) where its middle may lie
    donor   a bad example with a mask in which something is painted

    A defect at a border of the donor's picture (a broken edge) stays at that border. The piece is made brighter or
    darker by the ratio of the light around it, here and there, as exposures differ.
    """
    if donor.mask is None or not donor.mask.any():
        raise ValueError("A real defect can only be cut from a bad part on which it was painted.")
    cut = _cut_out(donor.pixels, donor.mask, rng)
    piece, alpha = cut.piece, cut.alpha
    if not cut.borders:
        turns = [int(rng.choice([-1, 1])), int(rng.choice([-1, 1]))]
        piece, alpha = piece[:: turns[0], :: turns[1]], alpha[:: turns[0], :: turns[1]]
        piece, alpha = _turned(piece, alpha, degrees=rng.uniform(-25, 25))
    piece, alpha = _scaled(piece, alpha, rng.uniform(0.8, 1.25), most=(good.shape[0], good.shape[1]))
    grey = good.mean(axis=2, dtype=np.float32)
    around = cv2.blur(grey, (alpha.shape[1], alpha.shape[0]), borderType=cv2.BORDER_REFLECT)
    wanted = cut.light_around * float(grey.mean()) / max(float(donor.pixels.mean()), 1.0)
    corners = [_corner(places[n], alpha, good, cut.borders) for n in rng.integers(len(places), size=_PLACES)]
    lights = np.array(
        [around[top + alpha.shape[0] // 2, left + alpha.shape[1] // 2] for top, left in corners]
    )
    best = int(np.argmin(np.abs(lights - wanted)))
    gain = float(np.clip(lights[best] / max(cut.light_around, 1.0), 0.4, 2.5))
    return _pasted(good, *corners[best], piece=piece * np.float32(gain), alpha=alpha)


@dataclass(frozen=True)
class _CutOut:
    """piece hxwx3; alpha hxw 0..1, soft around the paint; borders: sides of the donor's picture that it touches."""

    piece: Light
    alpha: FloatMap
    light_around: float
    borders: frozenset[str]


def _cut_out(pixels: Image, mask: Mask, rng: np.random.Generator) -> _CutOut:
    """One painted region; specks that lie close together are one."""
    height, width = mask.shape
    near = 2 * max(2, round(side_of(pixels) / 80)) + 1
    joined = cv2.dilate(mask.astype(np.uint8), np.ones((near, near), np.uint8))
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    painted = mask & (labels == int(rng.integers(1, count)))
    rows, columns = np.nonzero(painted)
    feather = max(_FEATHER_PX, 0.12 * min(np.ptp(rows) + 1, np.ptp(columns) + 1))
    margin = int(feather) + 6
    top, left = max(0, rows.min() - margin), max(0, columns.min() - margin)
    bottom, right = min(height, rows.max() + margin + 1), min(width, columns.max() + margin + 1)
    inside = painted[top:bottom, left:right]
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 3)
    piece = pixels[top:bottom, left:right].astype(np.float32)
    ring = distance > feather
    touches = {
        "top": rows.min() <= 2,
        "left": columns.min() <= 2,
        "bottom": rows.max() >= height - 3,
        "right": columns.max() >= width - 3,
    }
    return _CutOut(
        piece,
        np.clip(1 - (distance - 1) / feather, 0, 1).astype(np.float32),
        float(piece[ring].mean() if ring.any() else pixels.mean()),
        frozenset(side for side, is_there in touches.items() if is_there),
    )


def _corner(
    place: NDArray[np.intp], alpha: FloatMap, good: Image, borders: frozenset[str]
) -> tuple[int, int]:
    """(top, left) of the piece, wholly inside the picture."""
    lowest, rightmost = good.shape[0] - alpha.shape[0], good.shape[1] - alpha.shape[1]
    top = int(np.clip(place[0] - alpha.shape[0] // 2, 0, lowest))
    left = int(np.clip(place[1] - alpha.shape[1] // 2, 0, rightmost))
    top = 0 if "top" in borders else lowest if "bottom" in borders else top
    left = 0 if "left" in borders else rightmost if "right" in borders else left
    return top, left


def _cut(image: Image, rng: np.random.Generator, *, height: int, width: int) -> Light:
    """A rectangle of the picture, toned."""
    top = int(rng.integers(image.shape[0] - height + 1))
    left = int(rng.integers(image.shape[1] - width + 1))
    piece = image[top : top + height, left : left + width].astype(np.float32)
    return np.asarray(
        piece * np.float32(rng.uniform(0.7, 1.3)) + np.float32(rng.uniform(-15, 15)), np.float32
    )


def _turned(piece: Light, alpha: FloatMap, *, degrees: float) -> tuple[Light, FloatMap]:
    """The piece turned about its middle, in a rectangle that holds all of it."""
    height, width = alpha.shape
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    cos, sin = abs(turn[0, 0]), abs(turn[0, 1])
    size = (int(np.ceil(height * sin + width * cos)), int(np.ceil(height * cos + width * sin)))
    turn[:, 2] += ((size[0] - width) / 2, (size[1] - height) / 2)
    # The light is continued beyond the piece, so that no black creeps in at its soft border.
    light = cv2.warpAffine(np.ascontiguousarray(piece), turn, size, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(light, np.float32), np.asarray(
        cv2.warpAffine(np.ascontiguousarray(alpha), turn, size), np.float32
    )


def _scaled(piece: Light, alpha: FloatMap, factor: float, *, most: tuple[int, int]) -> tuple[Light, FloatMap]:
    """Larger or smaller, but never larger than the picture."""
    factor = min(factor, most[0] / alpha.shape[0], most[1] / alpha.shape[1])
    size = (max(1, int(alpha.shape[1] * factor)), max(1, int(alpha.shape[0] * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    light = cv2.resize(np.ascontiguousarray(piece), size, interpolation=how)
    return np.asarray(light, np.float32), np.asarray(
        cv2.resize(np.ascontiguousarray(alpha), size, interpolation=how), np.float32
    )


def _pasted(image: Image, top: int, left: int, *, piece: Light, alpha: FloatMap) -> Patch:
    """The piece at this corner; what would lie beside the picture is cut off."""
    y, x = max(0, -top), max(0, -left)
    bottom, right = min(alpha.shape[0], image.shape[0] - top), min(alpha.shape[1], image.shape[1] - left)
    cover = alpha[y:bottom, x:right, None]
    under = image[top + y : top + bottom, left + x : left + right].astype(np.float32)
    return Patch(
        top + y, left + x, np.asarray(under * (1 - cover) + piece[y:bottom, x:right] * cover, np.float32)
    )
