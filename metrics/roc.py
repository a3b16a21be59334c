"""How well scores separate bad parts from good ones, whatever the thresholds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def finite_scores(scores: Sequence[float] | NDArray[np.floating], *, what: str) -> NDArray[np.float64]:
    """The scores as an array; raises ValueError if one is NaN or infinite: no metric may swallow it."""
    values = np.asarray(scores, dtype=np.float64).ravel()
    if not np.isfinite(values).all():
        raise ValueError(f"{what} hold {int((~np.isfinite(values)).sum())} values that are not finite.")
    return values


def auroc(
    good_scores: Sequence[float] | NDArray[np.floating], bad_scores: Sequence[float] | NDArray[np.floating]
) -> float:
    """Chance that a bad part scores above a good one, ties counted half.

    Raises ValueError if either side is empty or not finite.
    Source: Mann-Whitney U / (n_good * n_bad) (Hanley & McNeil 1982).
    """
    good = finite_scores(good_scores, what="The good scores")
    bad = finite_scores(bad_scores, what="The bad scores")
    if len(good) == 0 or len(bad) == 0:
        raise ValueError("AUROC needs at least one good and one bad part.")
    ranks = stats.rankdata(np.concatenate([good, bad]))
    above = float(ranks[len(good) :].sum()) - len(bad) * (len(bad) + 1) / 2
    return above / (len(good) * len(bad))
