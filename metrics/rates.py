"""Rates with their n and their bound. A rate without both is never shown."""

import math
from dataclasses import dataclass
from typing import Self

from scipy import stats


@dataclass(frozen=True)
class Rate:
    """k of n, with the two-sided 95 % Clopper-Pearson interval.

    With n = 0 nothing is known: the value is NaN and the interval is 0..1.
    """

    k: int
    n: int
    lower: float
    upper: float

    @classmethod
    def of(cls, k: int, n: int, *, confidence: float = 0.95) -> Self:
        lower, upper = clopper_pearson(k, n, confidence=confidence)
        return cls(k, n, lower, upper)

    @property
    def value(self) -> float:
        return self.k / self.n if self.n else math.nan


def clopper_pearson(k: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval (lower, upper) for k of n.

    Source: Clopper & Pearson, Biometrika 26 (1934): quantiles of Beta(k, n-k+1) and Beta(k+1, n-k).
    """
    _check(k, n, confidence)
    tail = (1 - confidence) / 2
    lower = float(stats.beta.ppf(tail, k, n - k + 1)) if k > 0 else 0.0
    return lower, _beta_upper(k, n, tail)


def clopper_pearson_upper(k: int, n: int, *, confidence: float = 0.95) -> float:
    """Exact one-sided upper bound: "with this confidence the true rate is below"."""
    _check(k, n, confidence)
    return _beta_upper(k, n, 1 - confidence)


def clopper_pearson_lower(k: int, n: int, *, confidence: float = 0.95) -> float:
    """Exact one-sided lower bound: "with this confidence the true rate is above"."""
    _check(k, n, confidence)
    return float(stats.beta.ppf(1 - confidence, k, n - k + 1)) if k > 0 else 0.0


def wilson(k: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval (lower, upper): narrower than the exact one, for trends rather than for promises.

    Source: Wilson, JASA 22 (1927): (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).
    """
    _check(k, n, confidence)
    if n == 0:
        return 0.0, 1.0
    z = float(stats.norm.ppf(1 - (1 - confidence) / 2))
    p = k / n
    middle = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def certification_p(k: int, n: int, *, limit: float) -> float:
    """How likely k or fewer of n would be if the true rate were the limit; below .05 the limit is certified.

    Source: exact binomial test, P(X <= k | n, limit).
    """
    _check(k, n, 0.95)
    _check_limit(limit)
    return float(stats.binom.cdf(k, n, limit))


def parts_needed(*, limit: float, confidence: float = 0.95) -> int:
    """How many parts without one event it takes to claim a rate at or below the limit.

    Source: (1 - limit)^n <= 1 - confidence.
    """
    _check(0, 0, confidence)
    _check_limit(limit)
    return math.ceil(math.log(1 - confidence) / math.log1p(-limit))


def _beta_upper(k: int, n: int, tail: float) -> float:
    return float(stats.beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0


def _check(k: int, n: int, confidence: float) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is no rate.")
    if not 0 < confidence < 1:
        raise ValueError(f"A confidence lies between 0 and 1, not at {confidence}.")


def _check_limit(limit: float) -> None:
    if not 0 < limit < 1:
        raise ValueError(f"A limit lies between 0 and 1, not at {limit}.")
