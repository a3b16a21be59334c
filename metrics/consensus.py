"""What several fallible appraisers together say a part is, and how often each of them errs, without a reference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from metrics.kappa import MISSING, FloatArray, IntArray, category_codes

NOTHING_SEEN = 1e-9  # looks at a class, below which an appraiser's row tells nothing


@dataclass(frozen=True)
class Consensus:
    """The most likely grades, appraisers and class shares.

    posterior        parts x classes, chance that the part is of the class; rows sum to 1
    shares           classes, share of each class among the parts
    confusion        appraisers x classes x classes: of a part of class (row) the appraiser says (column);
                     NaN where the appraiser saw no part of the class
    log_likelihoods  after each step of the search, never falling
    converged        whether the search ended because a step gained nothing, not because of max_steps
    """

    posterior: FloatArray
    shares: FloatArray
    confusion: FloatArray
    log_likelihoods: tuple[float, ...]
    converged: bool

    @property
    def grades(self) -> IntArray:
        """The most likely class of each part; of equally likely ones the lowest."""
        return np.argmax(self.posterior, axis=1).astype(np.int64)


@dataclass(frozen=True)
class ErrorRate:
    """How often an appraiser says one thing of parts that are another: k of n looks, both as the consensus weighs them.

    A part that is bad with chance .7 counts as .7 of a bad part, so k and n are no whole numbers. The interval takes
    the chances as given: it is too narrow while few parts are known and the consensus itself is in doubt.
    """

    k: float
    n: float
    lower: float
    upper: float

    @property
    def value(self) -> float:
        return self.k / self.n if self.n > NOTHING_SEEN else float("nan")


def consensus(
    counts: ArrayLike,
    *,
    known: Sequence[int] | IntArray | None = None,
    tolerance: float = 1e-9,
    max_steps: int = 1000,
) -> Consensus:
    """Find the grades and error rates under which what everybody said is most likely.

    counts     parts x appraisers x classes: how often the appraiser put the part into the class; all 0 where
               they did not see it, so that gaps and repeated looks are welcome (`look_counts`)
    known      the class of parts whose grade is known (probes), MISSING for the others: they anchor the classes
    tolerance  the search ends when a step gains less log-likelihood than this per part

    It starts from the share of the votes and finds a maximum of the likelihood, not always the highest. Two looks at
    each part tell little about who is right; known parts, or three appraisers who are mostly right, are needed.

    Raises ValueError for a wrong shape, for what is no count, for parts nobody looked at that are not known either.
    Source: Dawid & Skene, Applied Statistics 28 (1979) 20-28: start eq. 3.1, M-step eq. 2.3 and 2.4, E-step eq. 2.5,
    likelihood eq. 2.7.
    """
    looks = _look_array(counts)
    parts, _, classes = looks.shape
    fixed = _known_classes(known, parts, classes)
    votes = looks.sum(axis=1)
    unseen = (votes.sum(axis=1) == 0) & (fixed == MISSING)
    if unseen.any():
        raise ValueError(f"{int(unseen.sum())} parts have no look and no known grade; leave them out.")
    posterior = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)
    _pin(posterior, fixed)
    gains: list[float] = []
    converged = False
    while not converged and len(gains) < max_steps:
        shares, confusion, _ = _most_likely_rates(looks, posterior)
        posterior, log_likelihood = _most_likely_classes(looks, shares, confusion, fixed)
        converged = bool(gains) and log_likelihood - gains[-1] < tolerance * parts
        gains.append(log_likelihood)
    shares, confusion, seen = _most_likely_rates(looks, posterior)
    confusion[seen < NOTHING_SEEN] = np.nan
    return Consensus(posterior, shares, confusion, tuple(gains), converged)


def error_rate(
    counts: ArrayLike, found: Consensus, *, appraiser: int, truth: int, said: int, confidence: float = 0.95
) -> ErrorRate:
    """How often the appraiser says `said` of a part whose class is `truth`, from the same counts as the consensus.

    Source: Clopper & Pearson, Biometrika 26 (1934), whose beta quantiles also take counts that are not whole.
    """
    own = _look_array(counts)[:, appraiser, :]
    weight = found.posterior[:, truth]
    k, n = float(weight @ own[:, said]), float(weight @ own.sum(axis=1))
    if n <= NOTHING_SEEN:
        return ErrorRate(0.0, 0.0, 0.0, 1.0)
    tail, missed = (1 - confidence) / 2, max(0.0, n - k)
    lower = float(stats.beta.ppf(tail, k, missed + 1)) if k > NOTHING_SEEN else 0.0
    upper = float(stats.beta.ppf(1 - tail, k + 1, missed)) if missed > NOTHING_SEEN else 1.0
    return ErrorRate(k, n, lower, upper)


def look_counts(looks: Sequence[ArrayLike], *, classes: int) -> FloatArray:
    """Count each appraiser's looks x parts (classes or MISSING) into parts x appraisers x classes."""
    counted = [np.atleast_2d(category_codes(own, classes)) for own in looks]
    if not counted or len({own.shape[1] for own in counted}) != 1:
        raise ValueError("Every appraiser needs one list of looks over the same parts.")
    return np.stack(
        [np.stack([(own == k).sum(axis=0) for k in range(classes)], axis=1) for own in counted], axis=1
    ).astype(np.float64)


def _most_likely_rates(looks: FloatArray, posterior: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    said = np.einsum("ij,ikl->kjl", posterior, looks)
    seen = said.sum(axis=2)
    uniform = np.full_like(said, 1 / said.shape[2])
    confusion = np.where(seen[..., None] > 0, said / np.where(seen > 0, seen, 1)[..., None], uniform)
    return posterior.mean(axis=0), confusion, seen


def _most_likely_classes(
    looks: FloatArray, shares: FloatArray, confusion: FloatArray, fixed: IntArray
) -> tuple[FloatArray, float]:
    # A chance of 0 that was never needed must not become 0 * -inf; one that was needed rules the class out.
    log_confusion = np.log(np.maximum(confusion, np.finfo(np.float64).tiny))
    log_joint = np.einsum("ikl,kjl->ij", looks, log_confusion)
    ruled_out = np.einsum("ikl,kjl->ij", looks, (confusion == 0).astype(np.float64)) > 0
    log_joint += np.log(np.maximum(shares, np.finfo(np.float64).tiny))
    log_joint[ruled_out | (shares == 0)] = -np.inf
    pinned = fixed != MISSING
    others = np.arange(looks.shape[2])[None, :] != fixed[:, None]
    log_joint[pinned[:, None] & others] = -np.inf
    highest = log_joint.max(axis=1, keepdims=True)
    joint = np.exp(log_joint - highest)
    total = joint.sum(axis=1, keepdims=True)
    return joint / total, float((np.log(total) + highest).sum())


def _pin(posterior: FloatArray, fixed: IntArray) -> None:
    pinned = np.flatnonzero(fixed != MISSING)
    posterior[pinned] = 0
    posterior[pinned, fixed[pinned]] = 1


def _look_array(counts: ArrayLike) -> FloatArray:
    looks = np.asarray(counts, dtype=np.float64)
    if looks.ndim != 3 or 0 in looks.shape or looks.shape[2] < 2:
        raise ValueError(
            f"Parts x appraisers x classes (two or more) are needed, not the shape {looks.shape}."
        )
    if not np.isfinite(looks).all() or (looks < 0).any() or (looks != np.round(looks)).any():
        raise ValueError("Counts of looks are whole numbers from 0 on.")
    return looks


def _known_classes(known: Sequence[int] | IntArray | None, parts: int, classes: int) -> IntArray:
    if known is None:
        return np.full(parts, MISSING, dtype=np.int64)
    fixed = category_codes(known, classes)
    if fixed.shape != (parts,):
        raise ValueError(f"One known class (or {MISSING}) for each of {parts} parts is needed.")
    return fixed
