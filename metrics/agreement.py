"""An attribute agreement study: how well each appraiser knows the truth, repeats themselves and agrees with others.

An appraiser is a person or the model: the model is one more entry, usually with a single look.
Underkill is what the AIAG manual calls the miss rate, overkill what it calls the false alarm rate.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from metrics.kappa import (
    MISSING,
    IntArray,
    Kappa,
    category_codes,
    cohen_kappa,
    cross_table,
    fleiss_kappa,
    looks_per_category,
)
from metrics.rates import Rate

Standing = Literal["acceptable", "marginal", "unacceptable", "unknown"]
Measure = Literal["effectiveness", "underkill", "overkill"]

GOOD, BAD = 0, 1
CODES = {
    "GOOD": GOOD, "PASS": GOOD, "BAD": BAD, "REJECT": BAD,
    "GREY": MISSING, "CANNOT_TELL": MISSING,
}  # fmt: skip

# AIAG, Measurement Systems Analysis, 4th ed. (2010), chapter III section C: acceptable, marginal.
AIAG_LIMITS: dict[Measure, tuple[float, float]] = {
    "effectiveness": (0.90, 0.80),
    "underkill": (0.02, 0.05),
    "overkill": (0.05, 0.10),
}
WORST_FIRST: tuple[Standing, ...] = ("unacceptable", "unknown", "marginal", "acceptable")


@dataclass(frozen=True)
class Appraisal:
    """One appraiser's part of a study.

    correct        looks that gave the reference / looks
    effectiveness  parts judged right in every look / parts judged
    underkill      looks that passed a bad part / looks at bad parts
    overkill       looks that rejected a good part / looks at good parts
    repeatability  parts judged the same in every look / parts looked at twice or more
    reference_kappa, repeatability_kappa  Cohen's against the reference, Fleiss' among their own looks; None if
                   there is nothing to compare. Looks at the same part are counted as if they were independent,
                   as in the manual, so that the error of reference_kappa is somewhat too small.
    """

    name: str
    correct: Rate
    effectiveness: Rate
    underkill: Rate
    overkill: Rate
    repeatability: Rate
    reference_kappa: Kappa | None
    repeatability_kappa: Kappa | None

    @property
    def standing(self) -> Standing:
        """The worst of the three measures with an AIAG limit."""
        standings = {
            aiag_standing("effectiveness", self.effectiveness),
            aiag_standing("underkill", self.underkill),
            aiag_standing("overkill", self.overkill),
        }
        return next(standing for standing in WORST_FIRST if standing in standings)


@dataclass(frozen=True)
class Pair:
    """Two appraisers, look by look: looks in which both say the same / looks of both, and Cohen's kappa."""

    agree: Rate
    kappa: Kappa


@dataclass(frozen=True)
class Study:
    """All appraisers of a study.

    pairs            every two appraisers that have a look at a common part
    all_kappa        Fleiss' kappa over all looks of all appraisers, None if no part was looked at twice
    all_agree        parts on which every look of every appraiser is the same / parts judged by all
    all_right        parts on which every look is the reference / parts judged by all
    """

    appraisals: tuple[Appraisal, ...]
    pairs: Mapping[tuple[str, str], Pair]
    all_kappa: Kappa | None
    all_agree: Rate
    all_right: Rate


def agreement_study(
    looks: Mapping[str, ArrayLike], reference: ArrayLike, *, confidence: float = 0.95
) -> Study:
    """Compare appraisers with the reference, with themselves and with each other.

    looks      for each appraiser looks x parts (or just parts, for a single look) of GOOD, BAD or MISSING;
               appraisers may have different numbers of looks
    reference  the grade of each part, GOOD or BAD; MISSING where nobody knows it

    Raises ValueError without appraisers or parts, for shapes that do not fit and for other values.
    Source: AIAG, Measurement Systems Analysis, 4th ed., chapter III section C; rates with Clopper-Pearson intervals.
    """
    grades = category_codes(reference, 2)
    if grades.ndim != 1 or len(grades) == 0:
        raise ValueError("The reference is a list with one grade for each part, and at least one part.")
    if not looks:
        raise ValueError("A study needs at least one appraiser.")
    by_name = {name: _looks_of(name, values, len(grades)) for name, values in looks.items()}
    everything = np.concatenate(list(by_name.values()))
    judged_by_all = np.all([(own != MISSING).any(axis=0) for own in by_name.values()], axis=0)
    same = judged_by_all & _all_same(everything)
    graded = judged_by_all & (grades != MISSING)
    pairs = {
        (first, second): pair
        for first, second in combinations(by_name, 2)
        if (pair := _pair(by_name[first], by_name[second], confidence)) is not None
    }
    return Study(
        appraisals=tuple(_appraisal(name, own, grades, confidence) for name, own in by_name.items()),
        pairs=pairs,
        all_kappa=_repeated_kappa(everything, confidence),
        all_agree=Rate.of(int(same.sum()), int(judged_by_all.sum()), confidence=confidence),
        all_right=Rate.of(
            int((graded & _all_right(everything, grades)).sum()), int(graded.sum()), confidence=confidence
        ),
    )


def aiag_standing(measure: Measure, rate: Rate) -> Standing:
    """Where a rate lies against the limits of the manual; without a single look it is unknown, never acceptable.

    Source: AIAG MSA 4th ed.: effectiveness >= 90 % acceptable, >= 80 % marginal; miss rate <= 2 %, <= 5 %;
    false alarm rate <= 5 %, <= 10 %.
    """
    if measure not in AIAG_LIMITS:
        raise ValueError(f"The manual has limits for {', '.join(AIAG_LIMITS)}, not for {measure}.")
    if rate.n == 0:
        return "unknown"
    acceptable, marginal = AIAG_LIMITS[measure]
    sign = 1 if measure == "effectiveness" else -1
    if sign * rate.value >= sign * acceptable:
        return "acceptable"
    return "marginal" if sign * rate.value >= sign * marginal else "unacceptable"


def kappa_word(kappa: Kappa) -> Literal["good", "fair", "poor", "unknown"]:
    """The manual's rule of thumb: above .75 good to excellent agreement, below .40 poor."""
    if not np.isfinite(kappa.value):
        return "unknown"
    if kappa.value > 0.75:
        return "good"
    return "poor" if kappa.value < 0.40 else "fair"


def look_codes(words: Iterable[str]) -> IntArray:
    """GOOD, BAD or MISSING for verdicts (PASS, REJECT, CANNOT_TELL), decisions (GOOD, BAD, GREY) and grades."""
    try:
        return np.array([CODES[word] for word in words], dtype=np.int64)
    except KeyError as unknown:
        raise ValueError(f"{unknown} is neither a verdict nor a decision nor a grade.") from None


def stack_looks(part_numbers: ArrayLike, codes: ArrayLike, *, parts: int) -> IntArray:
    """Turn a list of judgements into looks x parts: a part's first judgement in the first row, its next below.

    part_numbers  for each judgement, oldest first, the part it is of, 0..parts-1; repeated probes come again
    codes         for each judgement GOOD, BAD or MISSING; MISSING takes no row
    Returns at least one row; MISSING where a part has fewer looks than another.
    """
    said = category_codes(codes, 2)
    numbers = np.asarray(part_numbers, dtype=np.int64)
    if said.ndim != 1 or numbers.shape != said.shape:
        raise ValueError(
            f"One part number for each judgement is needed, not {numbers.shape} for {said.shape}."
        )
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < parts:
        raise ValueError(f"Part numbers are 0..{parts - 1}.")
    numbers, said = numbers[said != MISSING], said[said != MISSING]
    filled = np.zeros(parts, dtype=np.int64)
    looks = np.full((max(1, int(np.bincount(numbers, minlength=1).max())), parts), MISSING, dtype=np.int64)
    for number, code in zip(numbers, said, strict=True):
        looks[filled[number], number] = code
        filled[number] += 1
    return looks


def _appraisal(name: str, own: IntArray, grades: IntArray, confidence: float) -> Appraisal:
    truth = np.broadcast_to(grades, own.shape)
    seen = (own != MISSING) & (truth != MISSING)
    right = seen & (own == truth)
    bad, good = seen & (truth == BAD), seen & (truth == GOOD)
    judged = seen.any(axis=0)
    repeated = (own != MISSING).sum(axis=0) >= 2

    def rate(k: IntArray, n: IntArray) -> Rate:
        return Rate.of(int(k.sum()), int(n.sum()), confidence=confidence)

    table = cross_table(own.ravel(), truth.ravel(), categories=2)
    return Appraisal(
        name=name,
        correct=rate(right, seen),
        effectiveness=rate(judged & _all_right(own, grades), judged),
        underkill=rate(bad & (own == GOOD), bad),
        overkill=rate(good & (own == BAD), good),
        repeatability=rate(repeated & _all_same(own), repeated),
        reference_kappa=cohen_kappa(table, confidence=confidence) if table.any() else None,
        repeatability_kappa=_repeated_kappa(own, confidence),
    )


def _pair(first: IntArray, second: IntArray, confidence: float) -> Pair | None:
    common = min(len(first), len(second))
    table = cross_table(first[:common].ravel(), second[:common].ravel(), categories=2)
    if not table.any():
        return None
    return Pair(
        agree=Rate.of(int(np.trace(table)), int(table.sum()), confidence=confidence),
        kappa=cohen_kappa(table, confidence=confidence),
    )


def _repeated_kappa(looks: IntArray, confidence: float) -> Kappa | None:
    counts = looks_per_category(looks, categories=2)
    return fleiss_kappa(counts, confidence=confidence) if (counts.sum(axis=1) >= 2).any() else None


def _all_same(looks: IntArray) -> IntArray:
    return ~((looks == GOOD).any(axis=0) & (looks == BAD).any(axis=0))


def _all_right(looks: IntArray, grades: IntArray) -> IntArray:
    return ((looks == grades) | (looks == MISSING)).all(axis=0)


def _looks_of(name: str, values: ArrayLike, parts: int) -> IntArray:
    own = np.atleast_2d(category_codes(values, 2))
    if own.ndim != 2 or own.shape[1] != parts:
        raise ValueError(f"{name} needs looks x {parts} parts, not the shape {own.shape}.")
    return own
