"""A bad part made of a good one: a mark is drawn or pasted on it, and the mask says exactly where."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from vision.augment import marks, pastes
from vision.augment.marks import Patch
from vision.predictor import Example, Image, Mask, check_image

DRAWN = {
    "scratch": marks.scratch,
    "crack": marks.crack,
    "dent": marks.dent,
    "stain": marks.stain,
    "perlin": pastes.perlin_texture,
    "cutpaste": pastes.cutpaste,
    "scar": pastes.scar,
}
REAL = "real"  # a painted defect of a bad part
KINDS = (*DRAWN, REAL)

LEAST_CHANGE = (
    3  # grey levels; a weaker change is nobody's defect and stays out of the picture and of the mask
)
_FEWEST_PX = 6
_TRIES = 10


def synthetic_bad(
    good: Example,
    rng: np.random.Generator,
    kinds: Sequence[str],
    donors: Sequence[Example] = (),
    *,
    foreground: Mask | None = None,
) -> Example:
    """The good part with one defect of one of the kinds; its mask is where pixels changed, and no pixel else did.

    kinds       of KINDS; one is drawn
    donors      bad examples with painted masks: "real" cuts its defects from them
    foreground  where the part is in the picture: marks stay on it; None: everywhere

    The new example keeps the good part's group, so that no hold-out splits the two. Donors are parts too: take them
    from the side of a hold-out that learns, or the held ones are no strangers.

    Raises ValueError for a part that is bad, an unknown kind, "real" without a donor, or a mask of another size.
    """
    check_paintable(good)
    if good.is_bad:
        raise ValueError("A synthetic defect is laid on a good part, and this part is bad.")
    check_kinds(kinds)
    painted = [each for each in donors if each.mask is not None and each.mask.any()]
    if REAL in kinds and not painted:
        raise ValueError(
            'The kind "real" needs a bad part on which the defect was painted, and there is none.'
        )
    for donor in painted:
        check_paintable(donor)
    places = _places(good.pixels, foreground)
    for _ in range(_TRIES):
        kind = str(rng.choice(list(kinds)))
        if kind == REAL:
            patch = pastes.real_defect(good.pixels, places, painted[int(rng.integers(len(painted)))], rng)
        else:
            row, column = places[int(rng.integers(len(places)))]
            patch = DRAWN[kind](good.pixels, int(row), int(column), rng)
        pixels, mask = _laid_on(good.pixels, patch, foreground)
        if np.count_nonzero(mask) >= min(_FEWEST_PX, len(places)):
            break
    else:
        # Nothing shows on this picture (too small, or black and white): the last place is inverted.
        pixels, mask = _inverted(good.pixels, places[-1:])
    return replace(good, pixels=pixels, is_bad=True, defect=f"synthetic:{kind}", mask=mask)


def check_kinds(kinds: Sequence[str]) -> None:
    """Raises ValueError unless there is a kind and all are known."""
    if not kinds:
        raise ValueError(f"Name at least one kind of defect: {', '.join(KINDS)}.")
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"There is no synthetic defect {kind!r}; there are: {', '.join(KINDS)}.")


def check_paintable(example: Example) -> None:
    """Raises ValueError unless the pixels are an image and its mask, if there is one, is as large."""
    check_image(example.pixels)
    if example.mask is None:
        return
    if example.mask.dtype != np.bool_ or example.mask.shape != example.pixels.shape[:2]:
        raise ValueError(
            f"A mask is HxW bool and as large as its picture: {example.mask.shape} {example.mask.dtype} on a "
            f"picture of {example.pixels.shape[:2]}."
        )


def foreground_of(image: Image) -> Mask:
    """Where the part is: the side of Otsu's threshold that touches the picture's border less, its largest piece, filled.

    Everywhere, if that is less than a twentieth of the picture: then the part fills it.
    """
    grey = np.ascontiguousarray(image.mean(axis=2).astype(np.uint8))
    _, light = cv2.threshold(cv2.GaussianBlur(grey, (0, 0), 2), 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    border = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
    part = light if border.mean() < 0.5 else 1 - light
    outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(part)
    if outlines:
        cv2.drawContours(filled, [max(outlines, key=cv2.contourArea)], -1, color=1, thickness=cv2.FILLED)
    if filled.mean() < 0.05:
        return np.ones(part.shape, np.bool_)
    return np.asarray(filled > 0, np.bool_)


def _places(image: Image, foreground: Mask | None) -> pastes.Places:
    """Nx2 (row, column) where the middle of a mark may lie."""
    if foreground is None:
        return np.indices(image.shape[:2]).reshape(2, -1).T
    if foreground.shape != image.shape[:2]:
        raise ValueError(f"The foreground has {foreground.shape} pixels, its picture {image.shape[:2]}.")
    places = np.argwhere(foreground)
    if len(places) == 0:
        raise ValueError("The foreground is empty: there is no part to lay a defect on.")
    return places


def _laid_on(image: Image, patch: Patch, foreground: Mask | None) -> tuple[Image, Mask]:
    height, width = patch.light.shape[:2]
    box = (slice(patch.top, patch.top + height), slice(patch.left, patch.left + width))
    under = image[box]
    new = np.rint(patch.light.clip(0, 255)).astype(np.uint8)
    changed = np.abs(new.astype(np.int16) - under).max(axis=2) >= LEAST_CHANGE
    if foreground is not None:
        changed &= foreground[box]
    pixels, mask = image.copy(), np.zeros(image.shape[:2], np.bool_)
    pixels[box] = np.where(changed[:, :, None], new, under)
    mask[box] = changed
    return pixels, mask


def _inverted(image: Image, places: pastes.Places) -> tuple[Image, Mask]:
    pixels, mask = image.copy(), np.zeros(image.shape[:2], np.bool_)
    mask[places[:, 0], places[:, 1]] = True
    pixels[mask] = np.where(pixels[mask] < 128, pixels[mask] + 96, pixels[mask] - 96)
    return pixels, mask
