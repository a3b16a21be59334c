"""Kappa: how far agreement goes beyond what chance alone would give, with its errors and its interval."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from metrics.rates import clopper_pearson

Weights = Literal["none", "linear", "quadratic"]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MISSING = -1  # a look that gave no category: not judged, or CANNOT_TELL


@dataclass(frozen=True)
class Kappa:
    """(observed - expected) / (1 - expected), from n parts.

    standard_error  for the interval; 0 where everybody agrees on everything
    null_error      for the test that agreement is chance alone; NaN where the parts have unequal numbers of looks
    lower, upper    two-sided interval of the confidence asked for, within -1..1
    observed        agreement seen, 0..1 (with weights: weighted)
    expected        agreement that chance gives, 0..1

    Where only one category was ever used, agreement by chance is certain and kappa says nothing: value and
    errors are NaN, the interval is -1..1. Where agreement is perfect (or never happens) the asymptotic error is 0,
    which would claim certainty; there the interval is that of the agreement's Clopper-Pearson bounds.
    """

    value: float
    standard_error: float
    null_error: float
    lower: float
    upper: float
    observed: float
    expected: float
    n: int

    @property
    def z(self) -> float:
        """How many null errors kappa lies above chance."""
        return self.value / self.null_error if self.null_error > 0 else math.nan


def cross_table(first: ArrayLike, second: ArrayLike, *, categories: int) -> IntArray:
    """Count who said what: rows by the first appraiser, columns by the second; pairs with a MISSING look drop out.

    first, second  integers 0..categories-1 or MISSING, of the same length
    Returns categories x categories counts.
    """
    rows, columns = category_codes(first, categories), category_codes(second, categories)
    if rows.shape != columns.shape or rows.ndim != 1:
        raise ValueError(
            f"Two lists of the same length are needed, not shapes {rows.shape}, {columns.shape}."
        )
    both = (rows != MISSING) & (columns != MISSING)
    table = np.zeros((categories, categories), dtype=np.int64)
    np.add.at(table, (rows[both], columns[both]), 1)
    return table


def cohen_kappa(table: ArrayLike, *, weights: Weights = "none", confidence: float = 0.95) -> Kappa:
    """Agreement of two appraisers beyond chance, each with their own habits.

    table    k x k counts, rows by the first, columns by the second appraiser (`cross_table`)
    weights  none: all disagreements are alike; linear, quadratic: the categories are ordered and a
             disagreement weighs its distance, or the square of it

    Raises ValueError if the table is empty, not square, or holds what is no count.
    Source: Cohen (1960, 1968); errors by Fleiss, Cohen & Everitt, Psychological Bulletin 72 (1969): the
    large-sample error of (weighted) kappa, and that under chance alone.
    """
    counts = _counts(table)
    if counts.shape[0] != counts.shape[1] or counts.shape[0] < 2:
        raise ValueError(f"The table must be k x k with k >= 2, not {counts.shape[0]} x {counts.shape[1]}.")
    n = int(counts.sum())
    if n == 0:
        raise ValueError("Kappa needs at least one part that both have judged.")
    weight = _agreement_weights(counts.shape[0], weights)
    p = counts / n
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed = float((weight * p).sum())
    expected = float(rows @ weight @ columns)
    if 1 - expected < 1e-12:
        return _unknown(observed, expected, n)
    value = (observed - expected) / (1 - expected)
    mean_weight = (weight @ columns)[:, None] + (rows @ weight)[None, :]
    scatter = float((p * (weight - mean_weight * (1 - value)) ** 2).sum())
    variance = (scatter - (value - expected * (1 - value)) ** 2) / (n * (1 - expected) ** 2)
    null = float((np.outer(rows, columns) * (weight - mean_weight) ** 2).sum()) - expected**2
    return _with_interval(
        value=value,
        error=math.sqrt(max(0.0, variance)),
        null_error=math.sqrt(max(0.0, null) / n) / (1 - expected),
        observed=observed,
        expected=expected,
        n=n,
        quantile=_normal(confidence),
        confidence=confidence,
    )


def fleiss_kappa(counts: ArrayLike, *, confidence: float = 0.95) -> Kappa:
    """Agreement of many appraisers beyond chance; who judged which part does not matter.

    counts  parts x categories: how many looks put this part into this category. Parts may have unequal numbers of
            looks; parts with one look tell only how often a category is used, parts with none are left out.

    Raises ValueError if no part was looked at twice, or for what is no count.
    Source: Fleiss, Psychological Bulletin 76 (1971); unequal numbers and the error: Gwet, British Journal of
    Mathematical and Statistical Psychology 61 (2008), interval by Student's t with n - 1 degrees; null error
    Fleiss, Nee & Landis, Psychological Bulletin 86 (1979).
    """
    looks = _counts(counts)
    looks = looks[looks.sum(axis=1) > 0]
    per_part = looks.sum(axis=1)
    repeated = per_part >= 2
    n, n_repeated = len(looks), int(repeated.sum())
    if n_repeated == 0:
        raise ValueError("Fleiss' kappa needs at least one part that was looked at twice.")
    usage = (looks / per_part[:, None]).mean(axis=0)
    pairs = np.where(repeated, per_part * (per_part - 1), 1)
    agreement = (looks * (looks - 1)).sum(axis=1) / pairs
    observed, expected = float(agreement.sum() / n_repeated), float(usage @ usage)
    if 1 - expected < 1e-12:
        return _unknown(observed, expected, n)
    value = (observed - expected) / (1 - expected)
    by_part = n / n_repeated * (agreement - expected * repeated) / (1 - expected)
    by_part -= 2 * (1 - value) * (looks @ usage / per_part - expected) / (1 - expected)
    error = math.sqrt(float(((by_part - value) ** 2).sum()) / (n * (n - 1))) if n > 1 else math.nan
    return _with_interval(
        value=value,
        error=error,
        null_error=_null_error(usage, per_part),
        observed=observed,
        expected=expected,
        n=n,
        quantile=float(stats.t.ppf((1 + confidence) / 2, n - 1)) if n > 1 else math.nan,
        confidence=confidence,
    )


def category_kappas(counts: ArrayLike, *, confidence: float = 0.95) -> tuple[Kappa, ...]:
    """Fleiss' kappa of each category against all others: which defect type people agree on.

    counts  parts x categories, as in `fleiss_kappa`
    Source: Fleiss (1971), eq. 20: the kappa of the table in which all other categories are one.
    """
    looks = _counts(counts)
    rest = looks.sum(axis=1)
    return tuple(
        fleiss_kappa(np.stack([looks[:, k], rest - looks[:, k]], axis=1), confidence=confidence)
        for k in range(looks.shape[1])
    )


def looks_per_category(looks: ArrayLike, *, categories: int) -> IntArray:
    """Turn looks x parts of categories (or MISSING) into the parts x categories counts of `fleiss_kappa`."""
    codes = category_codes(looks, categories)
    if codes.ndim != 2:
        raise ValueError(f"Looks x parts are needed, not {codes.ndim} dimensions.")
    return np.stack([(codes == k).sum(axis=0) for k in range(categories)], axis=1).astype(np.int64)


def category_codes(values: ArrayLike, categories: int) -> IntArray:
    """The values as integers 0..categories-1 or MISSING; raises ValueError for anything else."""
    if categories < 2:
        raise ValueError(f"Agreement needs at least two categories, not {categories}.")
    codes = _whole_numbers(values, "Categories")
    if codes.size and (codes.min() < MISSING or codes.max() >= categories):
        raise ValueError(f"Categories are 0..{categories - 1}, or {MISSING} where a look is missing.")
    return codes


def _agreement_weights(k: int, weights: Weights) -> FloatArray:
    apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k))) / (k - 1)
    if weights == "none":
        return np.eye(k)
    if weights == "linear":
        return np.asarray(1 - apart, dtype=np.float64)
    if weights == "quadratic":
        return np.asarray(1 - apart**2, dtype=np.float64)
    raise ValueError(f"Weights are none, linear or quadratic, not {weights}.")


def _null_error(usage: FloatArray, per_part: IntArray) -> float:
    looks = int(per_part[0])
    if (per_part != looks).any():
        return math.nan
    spread = float((usage * (1 - usage)).sum())
    skew = float((usage * (1 - usage) * (1 - 2 * usage)).sum())
    return math.sqrt(2 * max(0.0, spread**2 - skew) / (len(per_part) * looks * (looks - 1))) / spread


def _with_interval(
    *,
    value: float,
    error: float,
    null_error: float,
    observed: float,
    expected: float,
    n: int,
    quantile: float,
    confidence: float,
) -> Kappa:
    if not 0 < confidence < 1:
        raise ValueError(f"A confidence lies between 0 and 1, not at {confidence}.")
    if math.isnan(error):
        lower, upper = -1.0, 1.0
    elif error < 1e-9 and min(observed, 1 - observed) < 1e-9:
        bounds = clopper_pearson(round(observed * n), n, confidence=confidence)
        lower, upper = ((bound - expected) / (1 - expected) for bound in bounds)
    else:
        lower, upper = value - quantile * error, value + quantile * error
    return Kappa(value, error, null_error, max(-1.0, lower), min(1.0, upper), observed, expected, n)


def _unknown(observed: float, expected: float, n: int) -> Kappa:
    return Kappa(math.nan, math.nan, math.nan, -1.0, 1.0, observed, expected, n)


def _normal(confidence: float) -> float:
    return float(stats.norm.ppf((1 + confidence) / 2))


def _counts(values: ArrayLike) -> IntArray:
    counts = _whole_numbers(values, "Counts")
    if counts.ndim != 2 or counts.size == 0:
        raise ValueError(f"A table of counts is needed, not the shape {counts.shape}.")
    if counts.min() < 0:
        raise ValueError("Counts are 0 or more.")
    return counts


def _whole_numbers(values: ArrayLike, what: str) -> IntArray:
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all() or (numbers != np.round(numbers)).any():
        raise ValueError(f"{what} must be whole numbers; leave out or mark what is missing.")
    return numbers.astype(np.int64)
