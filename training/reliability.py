"""How honest a model's probabilities are: bins of parts by what it said, against how many of them were bad.

A score is the chance of bad were good and bad parts equally common (vision/models/calibration.py). So the observed
share is weighed the same way: with k bad of n parts in a bin, and g good and b bad parts in all,

    share = (k / b) / (k / b + (n - k) / g)

which rises with k / n, so that the ends of Wilson's interval for k / n go through the same formula.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from metrics.rates import wilson

MOST_BINS = 10
FEWEST_A_BIN = 8


@dataclass(frozen=True)
class ReliabilityBin:
    """k of the n parts that were given about this probability were bad; `share` with its 95 % interval."""

    probability: float
    share: float
    lower: float
    upper: float
    k: int
    n: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def reliability(scores: Sequence[float], is_bad: Sequence[bool]) -> list[ReliabilityBin]:
    """Bins of equal count, the lowest probabilities first; empty unless there are good and bad parts.

    Raises ValueError for a score that is not finite.
    """
    said, bad = np.asarray(scores, np.float64), np.asarray(is_bad, np.bool_)
    if not np.isfinite(said).all():
        raise ValueError("A score that is not finite is no probability.")
    all_bad, all_good = int(bad.sum()), int((~bad).sum())
    if not all_bad or not all_good:
        return []
    weight = np.where(bad, 0.5 / all_bad, 0.5 / all_good)
    bins = []
    count = min(MOST_BINS, max(1, len(said) // FEWEST_A_BIN))
    for inside in np.array_split(np.argsort(said, kind="stable"), count):
        k, n = int(bad[inside].sum()), len(inside)
        lower, upper = wilson(k, n)
        bins.append(
            ReliabilityBin(
                probability=round(float(weight[inside] @ said[inside] / weight[inside].sum()), 4),
                share=_weighed(k / n, all_good / all_bad),
                lower=_weighed(lower, all_good / all_bad),
                upper=_weighed(upper, all_good / all_bad),
                k=k,
                n=n,
            )
        )
    return bins


def _weighed(share: float, ratio: float) -> float:
    """Share of bad parts, were good and bad ones equally common; ratio of good to bad as they are"""
    if math.isclose(share, 1.0):
        return 1.0
    return round(share * ratio / (share * ratio + 1 - share), 4)
