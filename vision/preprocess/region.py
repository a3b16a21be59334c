"""Which pixels of the golden reference count; all others are hidden from the model and 0 on the map."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.predictor import Image, Mask

HIDING_PX = 64  # the colours that hide are taken from a picture about so small
MOST_OF_A_CELL = 0.4


@dataclass(frozen=True)
class Rectangle:
    """Pixels from column x and row y on."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Polygon:
    """Corners as (x, y); a pixel on the line belongs to it."""

    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Painted:
    """Pixels that somebody painted, over the whole frame."""

    mask: Mask


Area = Rectangle | Polygon | Painted


@dataclass(frozen=True, eq=False)
class RegionOfInterest:
    """What counts in a frame of height x width: all of `inside` (nothing: the whole frame), less all of `ignored`.

    Raises ValueError if an area does not fit the frame, or no pixel is left.
    """

    height: int
    width: int
    inside: tuple[Area, ...] = ()
    ignored: tuple[Area, ...] = ()

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"A region needs a frame, not {self.height}x{self.width} pixels.")
        if not self.mask().any():
            raise ValueError("The region of interest leaves no pixel to look at.")

    def mask(self) -> Mask:
        """HxW, True where it counts."""
        counts = np.full((self.height, self.width), not self.inside, np.bool_)
        for area in self.inside:
            counts |= self._covered(area)
        for area in self.ignored:
            counts &= ~self._covered(area)
        return counts

    def as_json(self) -> dict[str, Any]:
        """Frame and areas; a painted area by the sha256 of its pixels, which `tensors` holds."""
        return {
            "frame": [self.height, self.width],
            "inside": [_area_as_json(area) for area in self.inside],
            "ignored": [_area_as_json(area) for area in self.ignored],
        }

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The painted areas by their sha256: HxW uint8, 0 or 1."""
        painted = [area for area in (*self.inside, *self.ignored) if isinstance(area, Painted)]
        return {_sha256(area.mask): area.mask.astype(np.uint8) for area in painted}

    @classmethod
    def from_json(cls, known: Mapping[str, Any], masks: Mapping[str, NDArray[Any]]) -> "RegionOfInterest":
        """Back from `as_json` and `tensors`; raises ValueError, with a sentence, for what is no region."""
        try:
            height, width = (int(number) for number in known["frame"])
            inside, ignored = (
                tuple(_area(area, masks) for area in known.get(name, [])) for name in ("inside", "ignored")
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"The region of interest is not whole: {error}.") from error
        return cls(height, width, inside, ignored)

    def _covered(self, area: Area) -> Mask:
        if isinstance(area, Painted):
            if area.mask.shape != (self.height, self.width):
                raise ValueError(
                    f"A painted area of {area.mask.shape} pixels does not fit a frame of {self.height}x{self.width}."
                )
            return area.mask
        covered: NDArray[np.uint8] = np.zeros((self.height, self.width), np.uint8)
        if isinstance(area, Rectangle):
            if area.x < 0 or area.y < 0 or area.width < 1 or area.height < 1:
                raise ValueError(f"{area} is no rectangle.")
            covered[area.y : area.y + area.height, area.x : area.x + area.width] = 1
        else:
            if len(area.points) < 3:
                raise ValueError("A polygon has at least three corners.")
            corners = np.rint(np.array(area.points, np.float64)).astype(np.int32)
            cv2.fillPoly(covered, [corners], 1)
        return covered > 0


class Curtain:
    """Hides all pixels outside of a mask, so that neither they nor the mask's border raise anything.

    Outside, the colours of the inside go on, ever softer: no edge arises where the mask ends, whatever the exposure,
    and nothing of the hidden pixels shines through.
    """

    def __init__(self, counts: Mask) -> None:
        self._shown: NDArray[np.uint8] = counts.astype(np.uint8)
        self._hidden: NDArray[np.uint8] = 1 - self._shown
        self._is_open = bool(counts.all())
        height, width = counts.shape
        factor = min(1.0, HIDING_PX / max(height, width))
        self._small = max(1, round(width * factor)), max(1, round(height * factor))
        weights = np.asarray(
            cv2.resize(counts.astype(np.float32), self._small, interpolation=cv2.INTER_AREA), np.float32
        )
        # A cell of which little is shown has no colour to speak of: eight bits divided by next to nothing.
        trusted = weights >= min(MOST_OF_A_CELL, float(weights.max()))
        self._weights = np.where(trusted, weights, np.float32(0))

    def over(self, image: Image) -> Image:
        """The image with the hidden pixels replaced; the same array where nothing is hidden."""
        if self._is_open:
            return image
        height, width = self._hidden.shape
        shown: Image = np.zeros_like(image)
        cv2.copyTo(image, self._shown, shown)
        sums = cv2.resize(shown, self._small, interpolation=cv2.INTER_AREA).astype(np.float32)
        sums *= (self._weights > 0)[:, :, None]
        colours = _continued(sums, self._weights)
        beyond = cv2.resize(colours, (width, height), interpolation=cv2.INTER_LINEAR)
        cv2.copyTo(beyond, self._hidden, shown)
        return shown


def _continued(sums: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Normalised convolution (Knutsson & Westin, CVPR 1993) with ever wider windows: near colours first.

    sums     hxwx3: the sum of the inside's colours in each cell, by its share
    weights  hxw: that share
    """
    total = sums * np.float32(1e-6)
    weight = weights * np.float32(1e-6)
    reach, trust = 1.0, 1.0
    while reach < 2 * max(weights.shape):
        near_sums = cv2.GaussianBlur(sums, (0, 0), reach)
        near_weights = cv2.GaussianBlur(weights, (0, 0), reach)
        total += np.float32(trust) * near_sums
        weight += np.float32(trust) * near_weights
        reach, trust = reach * 2, trust / 64
    mean = sums.sum(axis=(0, 1)) / weights.sum()
    floor = np.float32(1e-9)
    colours = (total + floor * mean) / (weight + floor)[:, :, None]
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)


def _area(known: Any, masks: Mapping[str, NDArray[Any]]) -> Area:
    if not isinstance(known, Mapping) or len(known) != 1:
        raise ValueError(f"An area is one of rectangle, polygon or mask, not {known!r}.")
    [(kind, value)] = known.items()
    if kind == "rectangle":
        numbers = _whole_numbers(value, 4, "A rectangle is [x, y, width, height]")
        return Rectangle(*numbers)
    if kind == "polygon":
        if not isinstance(value, list) or not all(isinstance(p, list) and len(p) == 2 for p in value):
            raise ValueError("A polygon is a list of [x, y].")
        return Polygon(tuple((float(x), float(y)) for x, y in value))
    if kind == "mask":
        if value not in masks:
            raise ValueError(f"The painted area {value!r} is missing.")
        mask = np.asarray(masks[value]) > 0
        if mask.ndim != 2:
            raise ValueError(f"A painted area is HxW, not {mask.shape}.")
        return Painted(mask)
    raise ValueError(f"An area is one of rectangle, polygon or mask, not {kind!r}.")


def _whole_numbers(value: Any, count: int, what: str) -> Sequence[int]:
    if not isinstance(value, list) or len(value) != count or not all(type(each) is int for each in value):
        raise ValueError(f"{what}, {count} whole numbers, not {value!r}.")
    return value


def _area_as_json(area: Area) -> dict[str, Any]:
    if isinstance(area, Rectangle):
        return {"rectangle": [area.x, area.y, area.width, area.height]}
    if isinstance(area, Polygon):
        return {"polygon": [list(point) for point in area.points]}
    return {"mask": _sha256(area.mask)}


def _sha256(mask: Mask) -> str:
    return hashlib.sha256(repr(mask.shape).encode() + np.packbits(mask).tobytes()).hexdigest()
