"""The rule by which an anomaly model and a classifier become one score, and why it is never less safe than either.

Each member's score becomes its *word*: a logit, then counted in spreads of held-out good parts above the median one,
then as the log odds that held-out good and bad parts give it. The fused evidence is

    joint = (1 - share) * anomaly's odds + share * classifier's odds
    fused = max(joint, guard)   where either word lies beyond that of every held-out good part
    fused = joint               elsewhere

The guard is as high as the highest joint evidence of a held-out good part, and as that of a tenth of the held-out bad
parts. So a part that is new to one member is judged no better than every good part and a tenth of the bad ones, which
is above any threshold that lets at most a twentieth of the bad parts pass, however the other member loves it; higher it
is not lifted, so that a person sees it rather than the reject bin. No held-out good part is lifted by that. The rule
never falls where either word rises, and NaN in either gives NaN.

Members whose words are correlated are as common as those that are not: hence a weighted mean and not a product of
likelihoods. Source: logarithmic opinion pool, Genest & Zidek, Combining Probability Distributions (Statistical Science 1,
1986), section 3; the guards are ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from vision.models.calibration import Calibration

SHARES = tuple(number / 10 for number in range(11))
GUARD_QUANTILE = 0.1  # of the held-out bad parts' joint evidence
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
    highest         of them, in spreads: beyond it lies what no held-out good part was
    odds            from spreads to log odds of bad
    """

    middle: float
    spread: float
    highest: float
    odds: Calibration

    def spreads(self, words: Array) -> Array:
        return np.asarray((words - self.middle) / self.spread)


@dataclass(frozen=True)
class Fusion:
    """The fitted rule. Words come as N x 2: the anomaly model's, the classifier's.

    share  of the classifier's odds in the joint evidence
    guard  evidence below which a part that is new to one member never falls
    bad    held-out bad parts' words in spreads: they stay when the lines are drawn anew from good parts alone
    """

    anomaly: MemberLine
    supervised: MemberLine
    share: float
    guard: float
    calibration: Calibration
    bad: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, good: Array, bad: Array) -> Self:
        """Draw the rule from held-out parts; raises ValueError without both kinds, and for words not finite."""
        if len(good) == 0 or len(bad) < FEWEST_BAD:
            raise ValueError("Fusing two models needs held-out good and bad parts.")
        if not (np.isfinite(good).all() and np.isfinite(bad).all()):
            raise ValueError("The held-out parts give evidence that is not finite.")
        counted = [_counted(good[:, member]) for member in (0, 1)]
        bad_spreads = np.column_stack([(bad[:, n] - counted[n][0]) / counted[n][1] for n in (0, 1)])
        return cls._drawn(good, bad_spreads, counted)

    def redrawn(self, good: Array, bad: Array) -> Self:
        """The rule for other held-out parts; without bad ones among them the remembered ones stand in."""
        if len(bad) >= FEWEST_BAD:
            return type(self).of(good, bad)
        if len(good) == 0 or not np.isfinite(good).all():
            raise ValueError("Calibration needs at least one good part, and evidence that is finite.")
        return self._drawn(good, np.array(self.bad), [_counted(good[:, member]) for member in (0, 1)])

    @classmethod
    def _drawn(cls, good: Array, bad: Array, counted: Sequence[tuple[float, float]]) -> Self:
        """Good in words, bad in spreads: of all shares the one that explains the held-out parts best."""
        lines, odds = [], []
        for member, (middle, spread) in enumerate(counted):
            good_spreads = (good[:, member] - middle) / spread
            line = Calibration.of(good_spreads, bad[:, member])
            lines.append(MemberLine(middle, spread, float(good_spreads.max()), line))
            odds.append((line.logit(good_spreads), line.logit(bad[:, member])))
        kept = tuple((float(a), float(s)) for a, s in bad[:: 1 + len(bad) // MOST_KEPT])
        is_new = (bad[:, 0] > lines[0].highest) | (bad[:, 1] > lines[1].highest)
        found: list[tuple[float, Self]] = []
        for share in SHARES:
            good_joint, bad_joint = (_mixed(odds[0][kind], odds[1][kind], share) for kind in (0, 1))
            guard = max(float(good_joint.max()), float(np.quantile(bad_joint, GUARD_QUANTILE)))
            bad_fused = np.where(is_new, np.maximum(bad_joint, guard), bad_joint)
            line = Calibration.of(good_joint, bad_fused)
            loss = _loss(line.probability(good_joint), line.probability(bad_fused))
            # Few bad parts say little about the share: it stays near the middle.
            loss += (share - 0.5) ** 2 / (1 + len(bad))
            found.append((loss, cls(lines[0], lines[1], share, guard, line, kept)))
        return min(found, key=lambda each: each[0])[1]

    def evidence(self, words: Array) -> Array:
        """Fused evidence of N x 2 words."""
        anomaly, supervised = self.anomaly.spreads(words[:, 0]), self.supervised.spreads(words[:, 1])
        joint = _mixed(self.anomaly.odds.logit(anomaly), self.supervised.odds.logit(supervised), self.share)
        is_new = (anomaly > self.anomaly.highest) | (supervised > self.supervised.highest)
        return np.asarray(np.where(is_new, np.maximum(joint, self.guard), joint))

    def probability(self, words: Array) -> Array:
        return self.calibration.probability(self.evidence(words))

    def cells(self, anomaly: Array, supervised: Array, *, words: Array) -> Array:
        """Fused evidence of every cell, from the members' words in it; its robust maximum is not yet the score's.

        Cells are mixed as the words are; a member to which the part is new points at what it has seen, whatever
        its share.
        """
        lines, maps = (self.anomaly, self.supervised), (anomaly, supervised)
        odds = [line.odds.logit(line.spreads(each)) for line, each in zip(lines, maps, strict=True)]
        joint = _mixed(odds[0], odds[1], self.share)
        for member, line in enumerate(lines):
            if float(line.spreads(words[member])) > line.highest:
                joint = np.maximum(joint, odds[member])
        return joint

    def as_json(self) -> dict[str, Any]:
        return {
            "anomaly": _line_as_json(self.anomaly),
            "supervised": _line_as_json(self.supervised),
            "share": self.share,
            "guard": self.guard,
            "calibration": self.calibration.as_json(),
            "bad": [list(pair) for pair in self.bad],
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Raises ValueError unless the rule is whole, finite and rises in both words."""
        try:
            found = cls(
                _line_from_json(kept["anomaly"]),
                _line_from_json(kept["supervised"]),
                float(kept["share"]),
                float(kept["guard"]),
                Calibration.from_json(kept["calibration"]),
                tuple((float(a), float(s)) for a, s in kept["bad"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"The model's fusion is not whole: {error}.") from error
        if not (0 <= found.share <= 1 and np.isfinite([found.guard, *np.ravel(found.bad)]).all()):
            raise ValueError("The model's fusion must be finite, with a share from 0 to 1.")
        return found


def _mixed(anomaly: Array, supervised: Array, share: float) -> Array:
    return np.asarray((1 - share) * anomaly + share * supervised)


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
    numbers = {"middle": line.middle, "spread": line.spread, "highest": line.highest}
    return {**numbers, "odds": line.odds.as_json()}


def _line_from_json(kept: Mapping[str, Any]) -> MemberLine:
    numbers = [float(kept[name]) for name in ("middle", "spread", "highest")]
    if not (np.isfinite(numbers).all() and numbers[1] > 0):
        raise ValueError("The model's fusion must be finite, with spreads above 0.")
    return MemberLine(numbers[0], numbers[1], numbers[2], Calibration.from_json(kept["odds"]))
