"""What the looks at each part say together (Dawid & Skene), and what each appraiser's errors are against that."""

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.agreement import BAD, GOOD
from metrics.consensus import Consensus, ErrorRate, consensus, error_rate, look_counts
from metrics.kappa import MISSING, FloatArray, IntArray
from metrics.rates import Rate
from reports.figures import FEWEST, ValueFigure
from review.states import Grade, VerdictWord

SURE, MOST_CONTRADICTIONS = 0.9, 10
BoolArray = NDArray[np.bool_]


class Look(NamedTuple):
    """One standing verdict. `part` is whose pictures were judged, the grades are what is known of it."""

    case: int
    part: int
    part_name: str
    person: int
    name: str
    word: str
    kind: str
    probe_grade: str | None
    ruled_grade: str | None


class Material(NamedTuple):
    """Everything as codes over the same parts: looks x parts for each appraiser, the reference, and what is pinned."""

    parts: list[int]
    looks: dict[str, IntArray]
    reference: IntArray
    known: IntArray
    cannot_tell: dict[str, Rate]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A ruled part that most looks, and their consensus, see otherwise."""

    part: int
    part_name: str
    ruled: str
    chance: float
    against: int
    looks: int


class Together(NamedTuple):
    """The consensus over the parts of which anybody could tell, or whose grade is known."""

    parts: list[int]
    counts: FloatArray
    consensus: Consensus


def consensus_lacks(material: Material) -> str:
    """Two looks at each part tell little about who is right: known parts anchor it, or a third appraiser."""
    appraisers = sum(int((own != MISSING).any()) for own in material.looks.values())
    parts, known = int(_told(material).sum()), int((material.known != MISSING).sum())
    if parts < FEWEST:
        return f"Too few: {parts} of {FEWEST} parts needed."
    if appraisers < 3 and known < FEWEST:
        return (
            f"It needs three appraisers or {FEWEST} parts of known grade; there are {appraisers} and {known}."
        )
    return ""


def _told(material: Material) -> BoolArray:
    told = material.known != MISSING
    for own in material.looks.values():
        told = told | (own != MISSING).any(axis=0)
    return told


def together(material: Material) -> Together:
    told = _told(material)
    counts = look_counts([own[:, told] for own in material.looks.values()], classes=2)
    parts = [part for part, is_told in zip(material.parts, told, strict=True) if is_told]
    return Together(parts, counts, consensus(counts, known=material.known[told]))


def estimated(
    name: str, which: str, found: Together | None, place: int, *, truth: int, said: int
) -> ValueFigure:
    rate = (
        error_rate(found.counts, found.consensus, appraiser=place, truth=truth, said=said)
        if found
        else ErrorRate(0.0, 0.0, 0.0, 1.0)
    )
    return ValueFigure(
        f"consensus_{name}",
        f"Estimated {name}",
        rate.value if rate.n else None,
        rate.lower,
        rate.upper,
        round(rate.n),
        f"looks at {which} parts",
        f"No look at a {which} part.",
        FEWEST,
        is_share=True,
    )


def contradictions(material: Material, looks: list[Look], found: Together | None) -> list[Contradiction]:
    """Rulings that the looks at the part, weighed by who usually is right, speak against; the surest first."""
    if found is None:
        return []
    by_part: dict[int, list[Look]] = defaultdict(list)
    for look in looks:
        by_part[look.part].append(look)
    seen = []
    for part, chances in zip(found.parts, found.consensus.posterior, strict=True):
        ruled = next((look.ruled_grade for look in by_part[part] if look.ruled_grade), None)
        if ruled is None:
            continue
        words = [look.word for look in by_part[part]]
        against, with_it = (
            (words.count(VerdictWord.PASS), words.count(VerdictWord.REJECT))
            if ruled == Grade.BAD
            else (words.count(VerdictWord.REJECT), words.count(VerdictWord.PASS))
        )
        chance = float(chances[GOOD if ruled == Grade.BAD else BAD])
        if chance >= SURE and against > max(1, with_it):
            name = by_part[part][0].part_name
            seen.append(Contradiction(part, name, ruled, chance, against, against + with_it))
    return sorted(seen, key=lambda each: -each.chance)[:MOST_CONTRADICTIONS]
