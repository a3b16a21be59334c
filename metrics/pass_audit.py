"""Live underkill from the random audit of passes: a known share of the automatic passes is judged by people too."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from metrics.rates import Rate, clopper_pearson_upper

PER_MILLION = 1_000_000


@dataclass(frozen=True)
class AuditedPasses:
    """The automatic passes of one line while its audit share stayed the same.

    passes   automatic passes, audited or not
    share    chance with which each of them was drawn and judged, 0 < share <= 1; drawn at random, part by part.
             Where only 9 of 10 drawn passes were judged, .9 times the share they were drawn with
    audited  passes that were drawn and judged
    bad      of these, found bad
    """

    line: str
    passes: int
    share: float
    audited: int
    bad: int


@dataclass(frozen=True)
class Escapes:
    """Bad parts among the automatic passes.

    bad_passes      estimated number, without bias, with its standard error and two-sided interval
    per_million     the same per million passes: the escape rate
    audited         audited passes and the bad ones among them, as they are
    upper_limit_per_million  one-sided limit that holds whatever the lines are like (`escape_limit`)
    """

    bad_passes: float
    standard_error: float
    lower: float
    upper: float
    passes: int
    audited: Rate
    upper_limit_per_million: float

    @property
    def per_million(self) -> tuple[float, float, float]:
        """Escape rate with its interval (value, lower, upper), in parts per million passes."""
        return (
            self.bad_passes / self.passes * PER_MILLION,
            self.lower / self.passes * PER_MILLION,
            self.upper / self.passes * PER_MILLION,
        )

    def underkill(self, *, bad_stopped: int) -> tuple[float, float, float]:
        """The model's underkill: bad parts passed / all bad parts, with its interval (value, lower, upper).

        bad_stopped  bad parts that were not passed automatically: rejected, or held for an inspector, and really
                     bad. They are taken as counted; the uncertainty is that of the passes.
        NaN, 0, 1 while no bad part is known at all.
        """
        if bad_stopped < 0:
            raise ValueError(f"A number of stopped bad parts is 0 or more, not {bad_stopped}.")
        if bad_stopped == 0 and self.bad_passes == 0:
            return math.nan, 0.0, 1.0
        value, lower, upper = (bad / (bad + bad_stopped) for bad in (self.bad_passes, self.lower, self.upper))
        return value, lower, upper


def escapes(lines: Sequence[AuditedPasses], *, confidence: float = 0.95) -> Escapes:
    """Estimate the bad parts among all passes, each audited one standing for 1/share passes.

    A line whose share changed is several entries. The draw must not depend on score, time or person; `draw_p` tells
    whether the numbers look like it.

    Raises ValueError without passes and for counts and shares that cannot be.
    Source: Horvitz & Thompson, JASA 47 (1952), with independent draws: total sum bad / share, variance
    sum bad (1 - share) / share^2 (Bernoulli sampling: Saerndal, Swensson & Wretman 1992, sect. 3.2). Interval: the gamma interval for
    weighted sums of Poisson counts of Fay & Feuer, Statistics in Medicine 16 (1997), which for one line is the exact
    Poisson interval; with several lines it is on the wide side (99 % held the truth in simulated pairs of lines).
    """
    _check(lines)
    weights = [1 / line.share for line in lines]
    total = sum(weight * line.bad for weight, line in zip(weights, lines, strict=True))
    variance = sum(
        weight**2 * line.bad * (1 - line.share) for weight, line in zip(weights, lines, strict=True)
    )
    passes, audited = sum(line.passes for line in lines), sum(line.audited for line in lines)
    lower, upper = _gamma_interval(
        total,
        sum(weight**2 * line.bad for weight, line in zip(weights, lines, strict=True)),
        max(weights),
        confidence,
    )
    found = sum(line.bad for line in lines)
    return Escapes(
        bad_passes=total,
        standard_error=math.sqrt(variance),
        lower=max(lower, float(found)),
        upper=min(upper, float(passes - audited + found)),
        passes=passes,
        audited=Rate.of(found, audited, confidence=confidence),
        upper_limit_per_million=escape_limit(lines, confidence=confidence) * PER_MILLION,
    )


def escape_limit(lines: Sequence[AuditedPasses], *, confidence: float = 0.95) -> float:
    """The share of bad parts among the passes that is not exceeded with this confidence, as a rate 0..1.

    Each line gets its one-sided Clopper-Pearson limit at a confidence so high that all limits hold together
    (Bonferroni), weighted by its passes; a line without an audited pass counts as all bad. It promises more than
    the interval of `escapes` and is wider the more lines there are.

    Source: Clopper & Pearson (1934); stratified as in Cochran, Sampling Techniques (3rd ed. 1977), ch. 5.
    """
    _check(lines)
    passes = sum(line.passes for line in lines)
    together = 1 - (1 - confidence) / len(lines)
    return sum(
        line.passes / passes * clopper_pearson_upper(line.bad, line.audited, confidence=together)
        for line in lines
    )


def draw_p(line: AuditedPasses) -> float:
    """How likely a number of audited passes this far off is if each pass was drawn with the share.

    Far below .01 the draw is not what it is said to be (cases lost, or chosen), and the estimate is biased.
    Source: exact binomial test, twice the smaller tail.
    """
    _check([line])
    drawn = stats.binom(line.passes, line.share)
    return min(1.0, 2 * min(float(drawn.cdf(line.audited)), float(drawn.sf(line.audited - 1))))


def _gamma_interval(
    total: float, variance: float, highest_weight: float, confidence: float
) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    lower = 0.0
    if total > 0:
        lower = variance / (2 * total) * float(stats.chi2.ppf(tail, 2 * total**2 / variance))
    more, wider = total + highest_weight, variance + highest_weight**2
    return lower, wider / (2 * more) * float(stats.chi2.ppf(1 - tail, 2 * more**2 / wider))


def _check(lines: Sequence[AuditedPasses]) -> None:
    if not lines or sum(line.passes for line in lines) == 0:
        raise ValueError("The audit needs at least one line with passes.")
    for line in lines:
        if not 0 < line.share <= 1:
            raise ValueError(f"{line.line}: an audit share lies above 0 and up to 1, not at {line.share}.")
        if not 0 <= line.bad <= line.audited <= line.passes:
            raise ValueError(
                f"{line.line}: bad <= audited <= passes is needed, not {line.bad}, {line.audited}, {line.passes}."
            )
