"""A preprocessing as a person writes it: a JSON file beside its pictures.

    {"region": {"inside": [{"rectangle": [x, y, width, height]}, {"polygon": [[x, y], …]}, {"mask": "part.png"}],
                "ignored": [ … the same … ],
                "frame": [height, width]},
     "align": {"reference": "golden.png",
               "by": { … a region: the pixels to align by; without it those of the region … },
               "model": "similarity", "most_turn_deg": 20, … all of AlignmentOptions … },
     "crop": "region" | [x, y, width, height]}

All in pixels of the golden reference. Each of the three may be missing, but not region and align both; "frame" is
needed only without a reference, and then every picture must be of that size. Masks are white where the area lies.
Paths are relative to the file.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.images import decode
from vision.options import read_options
from vision.predictor import Image
from vision.preprocess.alignment import AlignmentOptions
from vision.preprocess.chain import Preprocess
from vision.preprocess.region import Rectangle, RegionOfInterest

ReadPicture = Callable[[str], bytes]

CROP_MARGIN_PX = 8  # around a region that is cut out: the model sees what lies beside it, hidden


def read_preprocess(path: Path) -> Preprocess:
    """The file as a preprocessing; raises ValueError, with a sentence, OSError where a file cannot be read."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        return preprocess_of(given, read=lambda name: (path.parent / name).read_bytes())
    except (ValueError, TypeError) as problem:
        raise ValueError(f"{path} is no preprocessing: {problem}") from problem


def preprocess_of(given: Any, *, read: ReadPicture) -> Preprocess:
    """The same from JSON that is read already.

    read  the bytes of the picture or mask that goes by this name; it may raise ValueError or OSError

    Raises ValueError or TypeError with a sentence, and what `read` raises.
    """
    plan = _known(given, {"region", "align", "crop"}, "The preprocessing")
    align = dict(_known(plan.get("align") or {}, None, "align"))
    by = align.pop("by", None)
    reference = None
    if plan.get("align") is not None:
        name = align.pop("reference", None)
        if not isinstance(name, str):
            raise ValueError("align names no reference picture.")
        reference = decode(read(name))
    region = _region(plan["region"], reference, read) if plan.get("region") else None
    return Preprocess(
        region=region,
        reference=reference,
        alignment=read_options(AlignmentOptions, align),
        align_by=_region(by, reference, read) if by else None,
        crop=_crop(plan.get("crop"), region),
    )


def _region(given: Any, reference: Image | None, read: ReadPicture) -> RegionOfInterest:
    known = dict(_known(given, {"frame", "inside", "ignored"}, "A region"))
    if reference is not None:
        known.setdefault("frame", [reference.shape[0], reference.shape[1]])
    if "frame" not in known:
        raise ValueError("A region without a reference picture needs its frame, [height, width].")
    masks: dict[str, NDArray[Any]] = {}
    for area in (*known.get("inside", []), *known.get("ignored", [])):
        if isinstance(area, dict) and isinstance(area.get("mask"), str):
            masks[area["mask"]] = decode(read(area["mask"]))[:, :, 0] > 127
    return RegionOfInterest.from_json(known, masks)


def _crop(given: Any, region: RegionOfInterest | None) -> Rectangle | None:
    if given is None:
        return None
    if given == "region":
        if region is None:
            raise ValueError("There is no region to crop to.")
        x, y, width, height = cv2.boundingRect(region.mask().astype(np.uint8))
        left, top = max(0, x - CROP_MARGIN_PX), max(0, y - CROP_MARGIN_PX)
        right = min(region.width, x + width + CROP_MARGIN_PX)
        return Rectangle(left, top, right - left, min(region.height, y + height + CROP_MARGIN_PX) - top)
    if isinstance(given, list) and len(given) == 4 and all(type(number) is int for number in given):
        return Rectangle(*given)
    raise ValueError(f'crop is "region" or [x, y, width, height], not {given!r}.')


def _known(given: Any, names: set[str] | None, what: str) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise ValueError(f"{what} is an object, not {given!r}.")  # noqa: TRY004 - one kind of error for a bad file
    unknown = set(given) - names if names is not None else set()
    if unknown:
        raise ValueError(
            f"{what} has no {', '.join(sorted(unknown))}; there are: {', '.join(sorted(names or ()))}."
        )
    return given
