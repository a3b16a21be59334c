"""Figures as they are shown: a rate always with its k, its n and its bound; nothing measured is said in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metrics.rates import Rate

FEWEST = 20  # of people's looks: with fewer a share of them says more than the numbers carry
NO_BREAK = "\N{NO-BREAK SPACE}"  # a number and its unit stay on one line


@dataclass(frozen=True, slots=True)
class RateFigure:
    """A rate with its name.

    counts   what k counts, as in "12 of 340 bad parts passed"
    nothing  the sentence for n = 0
    needed   with fewer than this n the rate is not told at all: it would say more than the numbers carry
    """

    name: str
    label: str
    rate: Rate
    counts: str
    nothing: str
    needed: int = 1

    @property
    def is_known(self) -> bool:
        return self.rate.n >= self.needed

    @property
    def text(self) -> str:
        return percent(self.rate.value) if self.is_known else too_few_or_unknown(self.rate.n)

    @property
    def bound(self) -> str:
        """Never left out beside `text`."""
        if not self.is_known:
            return self.lacking
        return (
            f"{self.rate.k} of {self.rate.n} {self.counts}; 95{NO_BREAK}% sure between "
            f"{percent(self.rate.lower)} and {percent(self.rate.upper)}"
        )

    @property
    def short_bound(self) -> str:
        """For a narrow tile: still k, n and the interval."""
        if not self.is_known:
            return self.lacking
        return f"{self.rate.k} of {self.rate.n} · 95{NO_BREAK}%: {percent(self.rate.lower)} to {percent(self.rate.upper)}"

    @property
    def counted(self) -> str:
        return f"{self.rate.k} of {self.rate.n}" if self.is_known else self.lacking

    @property
    def interval(self) -> str:
        return f"{percent(self.rate.lower)} to {percent(self.rate.upper)}" if self.is_known else ""

    @property
    def lacking(self) -> str:
        return f"{self.rate.n} of {self.needed} needed" if self.rate.n else self.nothing

    def as_json(self) -> dict[str, Any]:
        return {
            "k": self.rate.k,
            "n": self.rate.n,
            "rate": self.rate.value if self.is_known else None,
            "lower_95": self.rate.lower if self.is_known else None,
            "upper_95": self.rate.upper if self.is_known else None,
            "says": f"{self.text}: {self.bound}",
        }


@dataclass(frozen=True, slots=True)
class ValueFigure:
    """A figure that is no rate (kappa, d'), with its n and its 95 % interval.

    value   None where there is nothing to compute it from; `nothing` says so
    needed  with fewer than this n it is not told at all
    word    how the figure reads, as in "good"
    """

    name: str
    label: str
    value: float | None
    lower: float
    upper: float
    n: int
    of: str
    nothing: str
    needed: int
    word: str = ""
    is_share: bool = False

    @property
    def is_known(self) -> bool:
        return self.value is not None and math.isfinite(self.value) and self.n >= self.needed

    @property
    def text(self) -> str:
        return self._said(self.value) if self.is_known else too_few_or_unknown(self.n)

    def _said(self, value: float | None) -> str:
        if value is None:
            return ""
        return percent(value) if self.is_share else f"{round(value, 2) + 0.0:.2f}"  # never -0.00

    @property
    def bound(self) -> str:
        """Never left out beside `text`."""
        return f"{self.counted} · 95{NO_BREAK}%: {self.interval}" if self.is_known else self.counted

    @property
    def counted(self) -> str:
        if self.is_known:
            return f"{self.n} {self.of}"
        return f"{self.n} of {self.needed} needed" if 0 < self.n < self.needed else self.nothing

    @property
    def interval(self) -> str:
        return f"{self._said(self.lower)} to {self._said(self.upper)}" if self.is_known else ""

    def as_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "value": self.value if self.is_known else None,
            "lower_95": self.lower if self.is_known else None,
            "upper_95": self.upper if self.is_known else None,
            "word": self.word if self.is_known else "",
            "says": f"{self.text}: {self.bound}",
        }


@dataclass(frozen=True, slots=True)
class SpreadFigure:
    """Two quantiles of n times in milliseconds."""

    name: str
    label: str
    quantiles: tuple[int, int]
    values: tuple[float, float] | None
    n: int
    nothing: str

    @classmethod
    def of(
        cls, name: str, label: str, times_ms: Sequence[float], *, high: int, nothing: str
    ) -> "SpreadFigure":
        values = tuple(float(value) for value in np.percentile(times_ms, [50, high])) if times_ms else None
        return cls(name, label, (50, high), values, len(times_ms), nothing)  # type: ignore[arg-type]

    @property
    def is_known(self) -> bool:
        return self.values is not None

    @property
    def text(self) -> str:
        return duration(self.values[0]) if self.values else "not known"

    @property
    def bound(self) -> str:
        if not self.values:
            return self.nothing
        return f"median of {self.n}; {self.quantiles[1]}{NO_BREAK}% within {duration(self.values[1])}"

    def as_json(self) -> dict[str, Any]:
        low, high = self.values or (None, None)
        return {"n": self.n, f"p{self.quantiles[0]}_ms": low, f"p{self.quantiles[1]}_ms": high}


def too_few_or_unknown(n: int) -> str:
    return "too few" if n else "not known"


def percent(share: float) -> str:
    """A share as people read it: more digits where it is small."""
    if math.isnan(share):
        return "not known"
    value = share * 100
    digits = 1 if value == 0 or value >= 10 else 2
    return f"{value:.{digits}f}{NO_BREAK}%"


def duration(ms: float) -> str:
    if ms < 1_000:
        return f"{ms:.0f}{NO_BREAK}ms"
    if ms < 100_000:
        return f"{ms / 1_000:.1f}{NO_BREAK}s"
    return f"{ms / 60_000:.1f}{NO_BREAK}min"
