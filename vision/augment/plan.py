"""What a fit adds to the pictures that it learns from. By default nothing."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np

from vision.augment.allowed import AllowedRange, known_names
from vision.augment.geometric import moved
from vision.augment.photometric import relit
from vision.augment.synthesis import (
    REAL,
    check_kinds,
    check_paintable,
    foreground_of,
    synthetic_bad,
)
from vision.predictor import Example, good_and_bad

_MOST_COPIES = 100
_MOST_SYNTHETIC = 100_000


@dataclass(frozen=True)
class AugmentPlan:
    """How many pictures are made, and of which kinds.

    copies             changed copies of each example, good and bad alike, within `allowed`
    synthetic_bad      bad parts made of good ones, in all
    kinds              of defects, of `vision.augment.KINDS`. By default "real" alone: drawn ones helped only where
                       no bad part was known (docs/performance.md). Beside others "real" is left out where no
                       defect was painted
    on_the_part_alone  marks are kept off the background, found by its brightness
    """

    copies: int = 0
    allowed: AllowedRange = field(default_factory=AllowedRange)
    synthetic_bad: int = 0
    kinds: tuple[str, ...] = (REAL,)
    on_the_part_alone: bool = False

    def __post_init__(self) -> None:
        for name, most in (("copies", _MOST_COPIES), ("synthetic_bad", _MOST_SYNTHETIC)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
                raise ValueError(f"{name} is a whole number from 0 to {most}, not {value!r}.")
        if not isinstance(self.on_the_part_alone, bool):
            raise ValueError(f"on_the_part_alone is true or false, not {self.on_the_part_alone!r}.")  # noqa: TRY004
        if self.copies and self.allowed == AllowedRange():
            raise ValueError(
                "Copies are asked for, but nothing is allowed to change: every copy would be the same."
            )
        check_kinds(self.kinds)

    @property
    def makes_any(self) -> bool:
        return bool(self.copies or self.synthetic_bad)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "kinds": list(self.kinds)}

    @classmethod
    def from_json(cls, kept: object) -> Self:
        """What is not named is off; raises ValueError for an unknown name or a senseless value."""
        named = known_names(cls, kept, what="An augmentation plan")
        if "allowed" in named:
            named["allowed"] = AllowedRange.from_json(named["allowed"])
        if "kinds" in named:
            kinds = named["kinds"]
            if not isinstance(kinds, list | tuple) or not all(isinstance(kind, str) for kind in kinds):
                raise ValueError(f"kinds is a list of names, not {kinds!r}.")
            named["kinds"] = tuple(kinds)
        return cls(**named)


def augmented(example: Example, allowed: AllowedRange, rng: np.random.Generator) -> Example:
    """The part in another place and light, within the range; group, grade and defect are kept, the mask moves along.

    Raises ValueError for pixels that are no image, or a mask of another size.
    """
    check_paintable(example)
    return relit(moved(example, allowed, rng), allowed, rng)


def grown(examples: Sequence[Example], plan: AugmentPlan, seed: int) -> list[Example]:
    """The examples, then their copies, then synthetic bad parts; the same for the same examples, plan and seed.

    Only for what is learned from: call it after every hold-out, on the side that is taught. Made pictures say nothing
    about how a model does. Where anything is made, examples without a group get one of their own, which their copies share.
    """
    if not plan.makes_any:
        return list(examples)
    named = [
        each if each.group else replace(each, group=f"alone {number}") for number, each in enumerate(examples)
    ]
    copies = [
        augmented(example, plan.allowed, np.random.default_rng([seed, 0, number, copy]))
        for number, example in enumerate(named)
        for copy in range(plan.copies)
    ]
    return [*named, *copies, *_synthetic(named, plan, seed)]


def _synthetic(examples: Sequence[Example], plan: AugmentPlan, seed: int) -> list[Example]:
    """Good parts in turn, in an order drawn by seed, each with one defect of a drawn kind."""
    if not plan.synthetic_bad:
        return []
    good, bad = good_and_bad(examples)
    if not good:
        raise ValueError("A synthetic defect is laid on a good part, and there is none.")
    painted = [each for each in bad if each.mask is not None and each.mask.any()]
    kinds = [kind for kind in plan.kinds if kind != REAL or painted]
    if not kinds:
        raise ValueError(
            'The plan asks for the kind "real" alone, and no defect was painted on any bad part.'
        )
    order = np.random.default_rng([seed, 1]).permutation(len(good))
    made = []
    for number in range(plan.synthetic_bad):
        part = good[int(order[number % len(good)])]
        rng = np.random.default_rng([seed, 2, number])
        foreground = foreground_of(part.pixels) if plan.on_the_part_alone else None
        made.append(synthetic_bad(part, rng, kinds, painted, foreground=foreground))
    return made
