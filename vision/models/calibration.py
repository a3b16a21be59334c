"""From a family's raw evidence to the probability that a part is bad, and how honest that probability is."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Evidence = Sequence[float] | NDArray[np.floating]

TYPICAL_GOOD = 0.1  # score of the median held-out good part
LIMIT_GOOD = 0.5  # score where hardly any good part lies (see _limit)
FEWEST_OF_A_KIND = 10  # held-out parts of each kind before the line is fitted to both
WEAKEST_SLOPE = 1e-6
NARROWEST = 0.05  # see `_flattened`
RELIABILITY_BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """Of n held-out parts with about this probability (bad and good weighing alike), this share was bad."""

    probability: float
    bad_share: float
    n: int


@dataclass(frozen=True)
class Calibration:
    """logit = slope * evidence + offset, rising with the evidence.

    method       "good" (drawn through quantiles of good parts) or "platt" (fitted to good and bad parts)
    reliability  how the probabilities stood up on the held-out parts that they were drawn from
    """

    slope: float
    offset: float
    method: str = "good"
    reliability: tuple[ReliabilityBin, ...] = ()

    @classmethod
    def of(cls, good: Evidence, bad: Evidence = ()) -> Self:
        """The line for held-out parts' evidence; both kinds count from FEWEST_OF_A_KIND each, else the good alone.

        It is never steeper than `_flattened` allows.

        Raises ValueError without good parts, and where the evidence is not finite.
        """
        good, bad = _finite(good), _finite(bad)
        if len(good) == 0:
            raise ValueError("Calibration needs at least one good part.")
        slope, offset, method = *_line_of_good(good), "good"
        if min(len(good), len(bad)) >= FEWEST_OF_A_KIND:
            fitted = _platt(good, bad)
            if (
                fitted[0] > WEAKEST_SLOPE
            ):  # else bad parts look no worse than good ones: the evidence says nothing
                slope, offset, method = *fitted, "platt"
        slope, offset = _flattened(slope, offset, middle=float(np.median(good)))
        line = cls(slope, offset, method)
        return cls(slope, offset, method, _reliability(line.probability(good), line.probability(bad)))

    def logit(self, evidence: NDArray[Any] | float) -> NDArray[np.float64]:
        return np.asarray(self.slope * np.asarray(evidence, dtype=np.float64) + self.offset)

    def probability(self, evidence: NDArray[Any] | float) -> NDArray[np.float64]:
        """Chance of bad, were good and bad parts equally common; NaN stays NaN."""
        return np.asarray(expit(self.logit(evidence)))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Raises ValueError unless the line is finite and rises."""
        try:
            slope, offset = float(kept["slope"]), float(kept["offset"])
            bins = tuple(ReliabilityBin(**each) for each in kept.get("reliability", ()))
            method = str(kept["method"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"The model's calibration is not whole: {error}.") from error
        if not (np.isfinite([slope, offset]).all() and slope > 0):
            raise ValueError(f"The model's calibration must rise and be finite, not {slope}, {offset}.")
        return cls(slope, offset, method, bins)


def _finite(evidence: Evidence) -> NDArray[np.float64]:
    values = np.asarray(evidence, dtype=np.float64).ravel()
    if not np.isfinite(values).all():
        raise ValueError("The held-out parts give evidence that is not finite.")
    return values


def _line_of_good(good: NDArray[np.float64]) -> tuple[float, float]:
    """The line through two points: the median held-out good part, and the good parts' limit."""
    middle, limit = float(np.median(good)), _limit(good)
    slope = (_logit(LIMIT_GOOD) - _logit(TYPICAL_GOOD)) / (limit - middle)
    return slope, _logit(TYPICAL_GOOD) - slope * middle


def _flattened(slope: float, offset: float, *, middle: float) -> tuple[float, float]:
    """The same line, or one less steep through the same point of probability one half.

    middle  evidence of the median good part

    A few good parts, or parts that a model gives one and the same number, show next to no spread. The line through
    them would be a cliff: a difference that no measurement repeats would move a part from certainly good to
    certainly bad, and beyond it all probabilities would be 0 or 1, where no threshold can tell parts apart. So from
    one tenth to one half the evidence moves by NARROWEST of its own size at least (of 1, where it is smaller): looks
    at one part differ by a few per cent as it lies and is lit, and logits near 0 are no more exact than that.

    One half stays where it was. What lay above it comes nearer to it from above and what lay below from below, so no
    part that lay at or above a threshold of at most one half falls below it: fewer pass, never more.
    """
    steepest = (_logit(LIMIT_GOOD) - _logit(TYPICAL_GOOD)) / (NARROWEST * max(abs(middle), 1.0))
    return (slope, offset) if slope <= steepest else (steepest, offset * steepest / slope)


def _platt(good: NDArray[np.float64], bad: NDArray[np.float64]) -> tuple[float, float]:
    """Logistic regression on the one number, good and bad weighing alike, with Platt's softened targets.

    Source: Platt, Probabilistic Outputs for Support Vector Machines (1999), section 2.2.
    """
    evidence = np.concatenate([good, bad])
    centre, scale = float(evidence.mean()), max(float(evidence.std()), 1e-12)
    standard = (evidence - centre) / scale
    targets = np.r_[
        np.full(len(good), 1 / (len(good) + 2)), np.full(len(bad), (len(bad) + 1) / (len(bad) + 2))
    ]
    weights = np.r_[np.full(len(good), 0.5 / len(good)), np.full(len(bad), 0.5 / len(bad))]

    def loss(line: NDArray[np.float64]) -> float:
        logits = line[0] * standard + line[1]
        return float(weights @ (np.logaddexp(0.0, logits) - targets * logits))

    found = minimize(loss, x0=np.array([1.0, 0.0]), method="BFGS").x
    slope = float(found[0]) / scale
    return slope, float(found[1]) - slope * centre


def _reliability(good: NDArray[np.float64], bad: NDArray[np.float64]) -> tuple[ReliabilityBin, ...]:
    """Bins of equal count over all parts; empty without bad parts."""
    if len(bad) == 0:
        return ()
    said = np.concatenate([good, bad])
    weight = np.r_[np.full(len(good), 0.5 / len(good)), np.full(len(bad), 0.5 / len(bad))]
    is_bad = np.r_[np.zeros(len(good)), np.ones(len(bad))]
    bins = []
    for inside in np.array_split(np.argsort(said, kind="stable"), min(RELIABILITY_BINS, len(said))):
        share = weight[inside] / weight[inside].sum()
        bins.append(ReliabilityBin(float(share @ said[inside]), float(share @ is_bad[inside]), len(inside)))
    return tuple(bins)


def _limit(good: NDArray[np.float64]) -> float:
    """Where hardly any good part lies: the 99 % point, or median + 3 robust sigmas where that is further."""
    middle = float(np.median(good))
    spread = 1.4826 * float(np.median(np.abs(good - middle)))
    return max(float(np.quantile(good, 0.99)), middle + 3 * spread, middle + 1e-3 * max(abs(middle), 1.0))


def _logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))
