"""The two thresholds: below `grey_from` a part is GOOD, from `grey_to` on BAD, between them a person looks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metrics.rates import Rate
from metrics.roc import finite_scores

Decision = Literal["GOOD", "GREY", "BAD"]
Scores = Sequence[float] | NDArray[np.floating]

UNSEEN_GOOD_SHARE = 0.3  # without graded bad parts only the most ordinary good parts pass unseen
UNSEEN_GREY_TO = 0.98
HALF_TRUST_N = 10  # graded bad parts after which the band has gone half the way to what they show


@dataclass(frozen=True)
class Thresholds:
    """A proposal with its reason, and what it would have done to the very parts it was drawn from.

    underkill    graded bad parts below grey_from / all graded bad parts
    overkill     graded good parts from grey_to on / all good parts
    review_good  share of good parts in the grey band
    """

    grey_from: float
    grey_to: float
    reason: str
    underkill: Rate
    overkill: Rate
    review_good: Rate


def decision(score: float, grey_from: float, grey_to: float) -> Decision:
    """What the model says of a score.

    Raises ValueError for a score or thresholds that are not finite or not ordered: NaN is never below a threshold.
    """
    if not (math.isfinite(score) and math.isfinite(grey_from) and math.isfinite(grey_to)):
        raise ValueError(
            f"A decision needs finite numbers, not score {score}, band {grey_from} to {grey_to}."
        )
    if not 0 <= grey_from <= grey_to <= 1:
        raise ValueError(
            f"The grey band must satisfy 0 <= grey_from <= grey_to <= 1, not {grey_from}, {grey_to}."
        )
    if score < grey_from:
        return "GOOD"
    return "GREY" if score < grey_to else "BAD"


def propose_thresholds(
    good_scores: Scores, bad_scores: Scores = (), *, max_underkill: float = 0.05, max_overkill: float = 0.03
) -> Thresholds:
    """Propose a grey band that is wide without evidence and narrows as graded bad parts arrive.

    good_scores, bad_scores  scores 0..1 of parts the model was not fitted on
    max_underkill            share of the graded bad parts that may lie below grey_from; the first 10 allow none
    max_overkill             share of the good parts that may lie at grey_to or above, once bad parts are known

    Without bad parts: the most ordinary 30 % of the good parts pass, and only what lies far beyond every good part is rejected.
    With n bad parts each threshold goes n / (n + 10) of the way to where the evidence puts it; but where
    bad parts are seen to lie below, grey_from goes down at once and all the way.

    Raises ValueError without good scores, and for scores that are not finite or outside 0..1.
    """
    good = _probabilities(good_scores, "The good scores")
    bad = _probabilities(bad_scores, "The bad scores")
    if len(good) == 0:
        raise ValueError("Thresholds need the scores of at least one good part.")
    if not 0 <= max_underkill < 1:
        raise ValueError(f"max_underkill is a share from 0 to below 1, not {max_underkill}.")
    if not 0 <= max_overkill < 1:
        raise ValueError(f"max_overkill is a share from 0 to below 1, not {max_overkill}.")
    highest_good = float(good.max())
    grey_from = float(np.quantile(good, UNSEEN_GOOD_SHARE))
    grey_to = max(UNSEEN_GREY_TO, (1 + highest_good) / 2)
    reason = (
        f"No graded bad part yet: the most ordinary {UNSEEN_GOOD_SHARE:.0%} of {len(good)} good parts pass."
    )
    if len(bad):
        trust = len(bad) / (len(bad) + HALF_TRUST_N)
        escapes = math.floor(max_underkill * max(0, len(bad) - HALF_TRUST_N))
        seen_from = float(np.sort(bad)[escapes])
        grey_from = min(seen_from, grey_from + trust * (seen_from - grey_from))
        rejected = math.floor(max_overkill * len(good))
        seen_to = min(1.0, math.nextafter(float(np.sort(good)[-1 - rejected]), 2.0))
        grey_to = grey_to + trust * (seen_to - grey_to)
        # Bad parts that lie above every good one leave no grey between; the cut then sits in the middle.
        if grey_from > grey_to:
            grey_from = grey_to = min(seen_from, (grey_from + grey_to) / 2)
        reason = (
            f"Drawn from {len(bad)} graded bad and {len(good)} good parts so that at most {escapes} of these bad ones "
            f"would pass; the band has gone {trust:.0%} of the way to what they show."
        )
    return Thresholds(
        grey_from=grey_from,
        grey_to=grey_to,
        reason=reason,
        underkill=Rate.of(int((bad < grey_from).sum()), len(bad)),
        overkill=Rate.of(int((good >= grey_to).sum()), len(good)),
        review_good=Rate.of(int(((good >= grey_from) & (good < grey_to)).sum()), len(good)),
    )


def cost_thresholds(
    *, underkill_cost: float, overkill_cost: float, review_cost: float
) -> tuple[float, float]:
    """(grey_from, grey_to) of least expected cost for a calibrated probability and a reviewer who is never wrong.

    Source: Chow's rule (1970): pass while p * underkill_cost < review_cost, reject while
    (1 - p) * overkill_cost < review_cost. Where review never pays the band closes at equal expected cost.
    """
    costs = (underkill_cost, overkill_cost, review_cost)
    if not all(math.isfinite(cost) and cost > 0 for cost in costs):
        raise ValueError(f"Costs are finite and above 0, not {costs}.")
    grey_from, grey_to = review_cost / underkill_cost, 1 - review_cost / overkill_cost
    if grey_from >= grey_to:
        grey_from = grey_to = overkill_cost / (underkill_cost + overkill_cost)
    return grey_from, grey_to


def _probabilities(scores: Scores, what: str) -> NDArray[np.float64]:
    values = finite_scores(scores, what=what)
    if len(values) and (values.min() < 0 or values.max() > 1):
        raise ValueError(f"{what} must lie in 0..1.")
    return values
