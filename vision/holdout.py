"""Parts kept out of a fit, so that something can be learned from them that the fit cannot flatter."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from vision.predictor import Example


def hold_out(
    examples: Sequence[Example], *, share: float, seed: int, most: int | None = None
) -> tuple[list[Example], list[Example]]:
    """(taught, held): whole groups, drawn by seed, until about `share` of the examples (never above `most`) is held.

    Frames of one physical part share a group and stay together. Where the groups are so few that one side would be
    empty, single examples are dealt instead: then the held ones are no strangers, and figures drawn from them flatter.
    """
    names = [example.group or f"#{number}" for number, example in enumerate(examples)]
    if len(set(names)) < 2:
        names = [f"#{number}" for number in range(len(examples))]
    wanted = max(1, round(share * len(examples)))
    wanted = wanted if most is None else min(wanted, most)
    sizes = Counter(names)
    distinct = sorted(sizes)
    held: set[str] = set()
    count = 0
    for place in np.random.default_rng(seed).permutation(len(distinct)):
        name = distinct[place]
        if count + sizes[name] <= wanted:
            held.add(name)
            count += sizes[name]
    if not held:
        held = {min(distinct, key=lambda name: (sizes[name], name))}
    pairs = list(zip(examples, names, strict=True))
    return [e for e, name in pairs if name not in held], [e for e, name in pairs if name in held]


def deal_folds(groups: Sequence[str], *, folds: int, seed: int) -> list[int]:
    """The fold of each example, 0 to folds - 1; examples of one group get the same. "" is a group of its own.

    Raises ValueError if there are fewer groups than folds.
    """
    names = [group or f"#{number}" for number, group in enumerate(groups)]
    distinct = sorted(set(names))
    if not 2 <= folds <= len(distinct):
        raise ValueError(f"{len(distinct)} groups cannot be dealt into {folds} folds.")
    order = np.random.default_rng(seed).permutation(len(distinct))
    fold_of = {distinct[card]: place % folds for place, card in enumerate(order)}
    return [fold_of[name] for name in names]
