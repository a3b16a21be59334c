"""What probes, parts of known grade, say about an inspector: both errors, the skill behind them and the leaning."""

import math
from dataclasses import dataclass

from scipy import stats

from metrics.rates import Rate


@dataclass(frozen=True)
class Estimate:
    """A figure with its standard error and two-sided interval."""

    value: float
    standard_error: float
    lower: float
    upper: float


@dataclass(frozen=True)
class ProbeRecord:
    """An inspector on parts of known grade.

    underkill  bad probes passed / bad probes judged
    overkill   good probes rejected / good probes judged
    skill      d': how far apart good and bad parts are for this inspector, in standard deviations; 0 is guessing
    leaning    c: above 0 they tend to pass, below 0 to reject
    skill and leaning are None until probes of both grades were judged.
    """

    underkill: Rate
    overkill: Rate
    skill: Estimate | None
    leaning: Estimate | None


def probe_record(
    *, bad_passed: int, bad_judged: int, good_rejected: int, good_judged: int, confidence: float = 0.95
) -> ProbeRecord:
    """Sum up an inspector's probes; CANNOT_TELL is no judgement and is not counted.

    Half a part is added to each error count and one to each number judged, so that an inspector without an error
    has a finite skill; the rates themselves stay uncorrected. With 10 to 80 probes of each grade and a
    skill of 1 to 3 the 95 % interval holds the truth in 95 to 97 % of cases; few probes understate a high skill.

    Raises ValueError for counts that are no rate.
    Source: d' and c Macmillan & Creelman, Detection Theory (2nd ed. 2005), eq. 1.5 and 2.1; correction Hautus,
    Behavior Research Methods 27 (1995); variance Gourevitch & Galanter, Psychometrika 32 (1967).
    """
    underkill = Rate.of(bad_passed, bad_judged, confidence=confidence)
    overkill = Rate.of(good_rejected, good_judged, confidence=confidence)
    if not (bad_judged and good_judged):
        return ProbeRecord(underkill, overkill, None, None)
    rejected_bad = (bad_judged - bad_passed + 0.5) / (bad_judged + 1)
    rejected_good = (good_rejected + 0.5) / (good_judged + 1)
    error = math.sqrt(
        _normal_variance(rejected_bad, bad_judged) + _normal_variance(rejected_good, good_judged)
    )
    half = float(stats.norm.ppf((1 + confidence) / 2))
    return ProbeRecord(
        underkill,
        overkill,
        skill=_estimate(d_prime(rejected_bad, rejected_good), error, half),
        leaning=_estimate(criterion(rejected_bad, rejected_good), error / 2, half),
    )


def d_prime(rejected_bad: float, rejected_good: float) -> float:
    """z(share of bad parts rejected) - z(share of good parts rejected); both strictly between 0 and 1."""
    _check_shares(rejected_bad, rejected_good)
    return float(stats.norm.ppf(rejected_bad) - stats.norm.ppf(rejected_good))


def criterion(rejected_bad: float, rejected_good: float) -> float:
    """-(z(share of bad parts rejected) + z(share of good parts rejected)) / 2: above 0 leans to pass."""
    _check_shares(rejected_bad, rejected_good)
    return float(-(stats.norm.ppf(rejected_bad) + stats.norm.ppf(rejected_good)) / 2)


def _normal_variance(share: float, n: int) -> float:
    return share * (1 - share) / (n * float(stats.norm.pdf(stats.norm.ppf(share))) ** 2)


def _estimate(value: float, error: float, half: float) -> Estimate:
    return Estimate(value, error, value - half * error, value + half * error)


def _check_shares(*shares: float) -> None:
    for share in shares:
        if not 0 < share < 1:
            raise ValueError(
                f"Skill needs shares strictly between 0 and 1, not {share}; take probe_record for counts."
            )
