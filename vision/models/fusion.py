"""The rule by which an anomaly model and classifiers become one score, and why it is never less safe than any of them.

Each member's score becomes its *word*: a logit, then counted in spreads of held-out good parts above the median one,
then as the log odds that held-out good and bad parts give it. The fused evidence is

    joint = weighted mean of the members' odds, no weight below 0
    fused = max(joint, guard)   where any word lies at or beyond that member's own limit
    fused = joint               elsewhere

A member's limit is where it alone would reject: beyond all but 3 % of the held-out good parts, as
`metrics.thresholds.propose_thresholds` has it. The guard is the joint evidence that a tenth of the held-out bad parts do
not reach: above any threshold that lets at most a twentieth of them pass. So what any member alone would reject is never
passed by the fused score, however the others love it; and it is not lifted higher than that needs, so that a person
sees it rather than the reject bin, and the order of the parts stays nearly what the joint evidence makes it. The rule
never falls where a word rises, and NaN in any gives NaN.

Members whose words are correlated are as common as those that are not: hence a weighted mean and not a product of
likelihoods. Source: logarithmic opinion pool, Genest & Zidek, Combining Probability Distributions (Statistical Science 1,
1986), section 3; the guard is ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from vision.models.calibration import Calibration

STEPS = 10  # the weights are tenths
GUARD_SHARE = 0.1  # of the held-out bad parts do not reach the guard
REJECTED_SHARE = 0.03  # of the held-out good parts: what a member alone rejects at most (propose_thresholds)
SMALLEST = 1e-9  # of a probability
MOST_KEPT = 500  # held-out bad parts whose words a model remembers
FEWEST_BAD = 1

Array = NDArray[np.float64]


def word_of(score: Array | float) -> Array:
    """A member's probability as log odds, finite; NaN stays NaN."""
    return np.asarray(logit(np.clip(np.asarray(score, dtype=np.float64), SMALLEST, 1 - SMALLEST)))


@dataclass(frozen=True)
class MemberLine:
    """How a member's word is counted, drawn from held-out good parts, and what it is worth.

    middle, spread  of the good parts' words
    limit           in spreads: a word beyond it this member alone would reject
    odds            from spreads to log odds of bad
    """

    middle: float
    spread: float
    limit: float
    odds: Calibration

    def spreads(self, words: Array) -> Array:
        return np.asarray((words - self.middle) / self.spread)


@dataclass(frozen=True)
class Fusion:
    """The fitted rule. Words come as N x M, in the members' order.

    lines    of the members
    weights  of their odds in the joint evidence; they sum to 1
    guard    evidence below which a part that any member would reject never falls
    bad      held-out bad parts' words in spreads: they stay when the lines are drawn anew from good parts alone
    """

    lines: tuple[MemberLine, ...]
    weights: tuple[float, ...]
    guard: float
    calibration: Calibration
    bad: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, good: Array, bad: Array) -> Self:
        """Draw the rule from held-out parts; raises ValueError without both kinds, and for words not finite."""
        if len(good) == 0 or len(bad) < FEWEST_BAD:
            raise ValueError("Fusing several models needs held-out good and bad parts.")
        if not (np.isfinite(good).all() and np.isfinite(bad).all()):
            raise ValueError("The held-out parts give evidence that is not finite.")
        counted = [_counted(words) for words in good.T]
        bad_spreads = [
            (words - middle) / spread for words, (middle, spread) in zip(bad.T, counted, strict=True)
        ]
        return cls._drawn(good, np.column_stack(bad_spreads), counted)

    def redrawn(self, good: Array, bad: Array) -> Self:
        """The rule for other held-out parts; without bad ones among them the remembered ones stand in."""
        if len(bad) >= FEWEST_BAD:
            return type(self).of(good, bad)
        if len(good) == 0 or not np.isfinite(good).all():
            raise ValueError("Calibration needs at least one good part, and evidence that is finite.")
        return self._drawn(good, np.array(self.bad), [_counted(words) for words in good.T])

    @classmethod
    def _drawn(cls, good: Array, bad: Array, counted: Sequence[tuple[float, float]]) -> Self:
        """Good in words, bad in spreads: of all weights those that explain the held-out parts best."""
        lines = []
        for words, bad_words, (middle, spread) in zip(good.T, bad.T, counted, strict=True):
            good_words = (words - middle) / spread
            limit = float(np.sort(good_words)[-1 - int(REJECTED_SHARE * len(good))])
            lines.append(MemberLine(middle, spread, limit, Calibration.of(good_words, bad_words)))
        good_spreads = np.column_stack(
            [line.spreads(words) for line, words in zip(lines, good.T, strict=True)]
        )
        kept = tuple(tuple(float(each) for each in row) for row in bad[:: 1 + len(bad) // MOST_KEPT])
        found: list[tuple[float, Self]] = []
        for weights in _weights(len(lines)):
            rule = cls(tuple(lines), weights, -np.inf, Calibration(1.0, 0.0), kept)
            joint = np.sort(rule._fused(bad))
            rule = replace(rule, guard=float(joint[int(GUARD_SHARE * len(joint))]))
            good_fused, bad_fused = rule._fused(good_spreads), rule._fused(bad)
            rule = replace(rule, calibration=Calibration.of(good_fused, bad_fused))
            loss = _loss(rule.calibration.probability(good_fused), rule.calibration.probability(bad_fused))
            # Few bad parts say little about the weights: they stay near the middle.
            loss += float(np.sum((np.array(weights) - 1 / len(lines)) ** 2)) / (1 + len(bad))
            found.append((loss, rule))
        return min(found, key=lambda each: each[0])[1]

    def evidence(self, words: Array) -> Array:
        """Fused evidence of N x M words."""
        return self._fused(
            np.column_stack([line.spreads(each) for line, each in zip(self.lines, words.T, strict=True)])
        )

    def probability(self, words: Array) -> Array:
        return self.calibration.probability(self.evidence(words))

    def cells(self, maps: Sequence[Array], *, words: Array) -> Array:
        """Fused evidence of every cell, from the members' words in it; its robust maximum is not yet the score's.

        Cells are mixed as the words are; a member that would reject the part points at what it has seen, whatever its
        weight.
        """
        odds = [line.odds.logit(line.spreads(each)) for line, each in zip(self.lines, maps, strict=True)]
        joint = np.asarray(sum(weight * each for weight, each in zip(self.weights, odds, strict=True)))
        for line, word, each in zip(self.lines, words, odds, strict=True):
            if float(line.spreads(word)) > line.limit:
                joint = np.maximum(joint, each)
        return joint

    def _fused(self, spreads: Array) -> Array:
        odds = [line.odds.logit(each) for line, each in zip(self.lines, spreads.T, strict=True)]
        joint = np.column_stack(odds) @ np.array(self.weights)
        rejected = (spreads > np.array([line.limit for line in self.lines])).any(axis=1)
        return np.asarray(np.where(rejected, np.maximum(joint, self.guard), joint))

    def as_json(self) -> dict[str, Any]:
        return {
            "lines": [_line_as_json(line) for line in self.lines],
            "weights": list(self.weights),
            "guard": self.guard,
            "calibration": self.calibration.as_json(),
            "bad": [list(row) for row in self.bad],
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Raises ValueError unless the rule is whole, finite and rises in every word."""
        try:
            found = cls(
                tuple(_line_from_json(line) for line in kept["lines"]),
                tuple(float(weight) for weight in kept["weights"]),
                float(kept["guard"]),
                Calibration.from_json(kept["calibration"]),
                tuple(tuple(float(each) for each in row) for row in kept["bad"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"The model's fusion is not whole: {error}.") from error
        members = len(found.lines)
        if members < 2 or any(len(row) != members for row in [found.weights, *found.bad]):
            raise ValueError("The model's fusion is not whole: its members are not as many everywhere.")
        weights = np.array(found.weights)
        if not (weights.min() >= 0 and abs(weights.sum() - 1) < 1e-6):
            raise ValueError("The model's fusion must have weights from 0 that sum to 1.")
        if not np.isfinite([found.guard, *np.ravel(found.bad)]).all():
            raise ValueError("The model's fusion must be finite.")
        return found


def _weights(members: int) -> list[tuple[float, ...]]:
    """Every way to share tenths among the members."""
    shares = product(range(STEPS + 1), repeat=members - 1)
    return [
        (*(share / STEPS for share in first), (STEPS - sum(first)) / STEPS)
        for first in shares
        if sum(first) <= STEPS
    ]


def _counted(words: Array) -> tuple[float, float]:
    """Median and spread of good parts' words; the spread is never so small that a rounding error counts."""
    middle = float(np.median(words))
    robust = 1.4826 * float(np.median(np.abs(words - middle)))
    return middle, max(robust, (float(np.quantile(words, 0.99)) - middle) / 3, 1e-3)


def _loss(good: Array, bad: Array) -> float:
    """Log loss, good and bad parts weighing alike."""
    said = [np.clip(each, SMALLEST, 1 - SMALLEST) for each in (1 - good, bad)]
    return float(-np.log(said[0]).mean() - np.log(said[1]).mean())


def _line_as_json(line: MemberLine) -> dict[str, Any]:
    numbers = {"middle": line.middle, "spread": line.spread, "limit": line.limit}
    return {**numbers, "odds": line.odds.as_json()}


def _line_from_json(kept: Mapping[str, Any]) -> MemberLine:
    numbers = [float(kept[name]) for name in ("middle", "spread", "limit")]
    if not (np.isfinite(numbers).all() and numbers[1] > 0):
        raise ValueError("The model's fusion must be finite, with spreads above 0.")
    return MemberLine(numbers[0], numbers[1], numbers[2], Calibration.from_json(kept["odds"]))
