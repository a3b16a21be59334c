"""How far pictures of one part type may be changed and still be pictures of that part type."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

# name -> (lowest, highest): beyond these a picture tells nothing of a part any more
_SANE: dict[str, tuple[float, float]] = {
    "rotation_deg": (0, 180),
    "shift": (0, 0.5),
    "scale": (0, 0.5),
    "perspective": (0, 0.25),
    "exposure_stops": (0, 2),
    "gamma": (0, 1),
    "contrast": (0, 0.9),
    "blur_px": (0, 10),
    "motion_px": (0, 50),
    "shot_noise": (0, 0.2),
    "read_noise": (0, 0.2),
    "jpeg_quality_from": (10, 100),
}


@dataclass(frozen=True)
class AllowedRange:
    """The widest change of each kind; by default nothing may change.

    A part whose orientation is fixed by its fixture allows no rotation; one whose left side must differ from its
    right allows no flip: a flipped one would be a wrong part taught as a good one.

    flip_horizontal, flip_vertical  mirrored left to right, upside down
    quarter_turns      turned by 90, 180 or 270 degrees; pictures that are not square by 180 alone
    rotation_deg       turned by up to so many degrees either way
    shift              moved by up to this share of the width and of the height
    scale              larger or smaller by up to this share
    perspective        corners moved by up to this share of the sides
    exposure_stops     light doubled or halved by up to so many stops
    gamma              exponent of the tone curve between 1 / (1 + gamma) and 1 + gamma
    contrast           distance from the mean grey larger or smaller by up to this share
    blur_px            Gaussian blur of up to this sigma
    motion_px          smeared along a line of up to this length
    shot_noise         noise at full white, as a share of white; its variance falls with the light
    read_noise         noise that is there in the dark too, as a share of white
    jpeg_quality_from  lowest quality of a JPEG compression; 100: not compressed
    """

    flip_horizontal: bool = False
    flip_vertical: bool = False
    quarter_turns: bool = False
    rotation_deg: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    perspective: float = 0.0
    exposure_stops: float = 0.0
    gamma: float = 0.0
    contrast: float = 0.0
    blur_px: float = 0.0
    motion_px: float = 0.0
    shot_noise: float = 0.0
    read_noise: float = 0.0
    jpeg_quality_from: int = 100

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is bool:
                if not isinstance(value, bool):
                    raise ValueError(f"{field.name} is allowed or not: true or false, not {value!r}.")
                continue
            lowest, highest = _SANE[field.name]
            is_number = isinstance(value, int if field.type is int else int | float)
            if isinstance(value, bool) or not is_number or not math.isfinite(value):
                kind = "a whole number" if field.type is int else "a number"
                raise ValueError(f"{field.name} is {kind} from {lowest:g} to {highest:g}, not {value!r}.")
            if not lowest <= value <= highest:
                raise ValueError(f"{field.name} lies between {lowest:g} and {highest:g}, not at {value:g}.")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: object) -> Self:
        """What is not named is not allowed; raises ValueError for an unknown name or a senseless value."""
        return cls(**known_names(cls, kept, what="An allowed range"))


def known_names(kind: type[Any], kept: object, *, what: str) -> dict[str, Any]:
    """The object's values, all of whose names the dataclass has; else ValueError with a sentence."""
    if not isinstance(kept, Mapping):
        # What a file says is a value to us, whatever its type.
        raise ValueError(f"{what} is an object of names and values, not {kept!r}.")  # noqa: TRY004
    known = [field.name for field in fields(kind)]
    for name in kept:
        if name not in known:
            raise ValueError(f"{what} knows no {name!r}; it knows: {', '.join(known)}.")
    return dict(kept)
