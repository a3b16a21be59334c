"""How well people and the model agree: with what the part really is, with themselves and with each other.

The study takes the parts that several people judged: probes, cases with a second opinion, and ties with a ruling.
Looks are told apart by the part whose pictures were judged, so that a probe seen twice is two looks at one part.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations

import numpy as np
from django.db.models import Case as Choice
from django.db.models import F, Q, QuerySet, When
from django.utils.crypto import salted_hmac

from inspection.models import Inspection, Line
from inspection.states import Decision
from metrics.agreement import (
    AIAG_LIMITS,
    BAD,
    GOOD,
    WORST_FIRST,
    Appraisal,
    Measure,
    Standing,
    Study,
    agreement_study,
    aiag_standing,
    kappa_word,
    look_codes,
    stack_looks,
)
from metrics.kappa import MISSING, IntArray, Kappa, fleiss_kappa, looks_per_category
from metrics.rates import Rate
from reports.figures import FEWEST, RateFigure, ValueFigure
from reports.queries.consensus import (
    Contradiction,
    Look,
    Material,
    Together,
    consensus_lacks,
    contradictions,
    estimated,
    together,
)
from review.models import Case, Verdict
from review.states import CaseKind, ClosedBy, VerdictWord

MOST_PAIRS = 60
MODEL = "The model"  # no user name has a space
ALL, PROBES = "all", "probes"


@dataclass(frozen=True, slots=True)
class Judged:
    """One measure of one appraiser with its standing; `is_sure` if the whole interval has the same standing."""

    figure: RateFigure
    standing: Standing
    is_sure: bool


@dataclass(frozen=True, slots=True)
class Appraiser:
    """One row of the study: a person or the model."""

    name: str
    is_model: bool
    measures: tuple[Judged, Judged, Judged]
    standing: Standing
    cannot_tell: RateFigure
    reference_kappa: ValueFigure
    repeatability: RateFigure
    repeatability_kappa: ValueFigure
    consensus_underkill: ValueFigure
    consensus_overkill: ValueFigure


@dataclass(frozen=True, slots=True)
class PairFigure:
    first: str
    second: str
    agree: RateFigure
    kappa: ValueFigure


@dataclass(frozen=True, slots=True)
class AgreementReport:
    """The study of some lines over a period.

    parts, looks      parts in the study; verdicts on them, without the model's
    known, ruled      parts whose reference is a probe's grade, or else a ruling; the rest has none
    consensus_lacks   why the consensus cannot be told; empty if it can
    pairs_too_few     pairs that share too few parts and are not listed
    """

    lines: tuple[str, ...]
    reference: str
    parts: int
    looks: int
    known: int
    ruled: int
    people_kappa: ValueFigure
    everybody_kappa: ValueFigure
    all_agree: RateFigure
    appraisers: list[Appraiser]
    pairs: list[PairFigure]
    pairs_too_few: int
    consensus_lacks: str
    contradictions: list[Contradiction] = field(default_factory=list)


# --- rows -------------------------------------------------------------------------------------------------
def agreement_report(
    lines: list[Line],
    *,
    since: datetime,
    until: datetime,
    reference: str = ALL,
    has_names: bool = True,
) -> AgreementReport:
    """The study over the cases of these lines that were opened in the period; always two queries.

    reference  all: probe grade, else ruling · probes: known parts alone, whose grade no appraiser had a say in
    has_names  False: people are letters, in an order that tells nothing
    """
    found = _several_times_judged(lines, since, until)
    looks = _looks(found)
    words = _model_words(found, looks)
    named = looks if has_names else _unnamed(looks)
    return _report(tuple(line.code for line in lines), named, words, reference)


def _unnamed(looks: list[Look]) -> list[Look]:
    shuffled = sorted({look.person for look in looks}, key=_shuffling)
    letters = {person: f"Inspector {_letter(place)}" for place, person in enumerate(shuffled)}
    return [look._replace(name=letters[look.person]) for look in looks]


def _shuffling(person: int) -> str:
    """An order that stays the same from page to page and that nobody outside can work out."""
    return salted_hmac("reports.agreement", str(person)).hexdigest()


def _letter(place: int) -> str:
    return chr(ord("A") + place % 26) + (str(place // 26 + 1) if place >= 26 else "")


def _several_times_judged(lines: list[Line], since: datetime, until: datetime) -> QuerySet[Case]:
    return Case.objects.filter(
        Q(kind=CaseKind.PROBE) | Q(wants_opinions__gt=1) | Q(closed_by=ClosedBy.RULING),
        shown_part__line__in=lines,
        opened_at__gte=since,
        opened_at__lt=until,
    )


def _looks(found: QuerySet[Case]) -> list[Look]:
    """Standing verdicts that were carried out, oldest first; not of cases that still wait for the second opinion.

    A ruling is a reference only where it decided a tie: one that corrects a verdict is there because that verdict was
    wrong, and nobody rules on the right ones.
    """
    rows = (
        Verdict.objects.filter(case__in=found, undone_at=None, committed_at__isnull=False)
        .annotate(
            tie_grade=Choice(When(case__closed_by=ClosedBy.RULING, then=F("case__ruling__grade")), default=None)
        )
        .order_by("given_at", "id")
        .values_list(
            "case_id", "case__part_id", "case__part__plc_part_id", "person_id", "person__username", "verdict",
            "case__kind", "case__probe__grade", "tie_grade",
        )
    )  # fmt: skip
    looks = [Look(*row) for row in rows]
    people: dict[int, set[int]] = defaultdict(set)
    for look in looks:
        people[look.case].add(look.person)
    return [
        look
        for look in looks
        if look.kind == CaseKind.PROBE or look.ruled_grade or len(people[look.case]) > 1
    ]


def _model_words(found: QuerySet[Case], looks: list[Look]) -> dict[int, str]:
    """The model's decision on each part, where it was not its decision that put the part before people.

    An audited or flagged part is here because the model passed it: its GOOD says nothing about how the model judges.
    """
    known = {look.part for look in looks if look.kind == CaseKind.PROBE}
    held = {look.part for look in looks if look.kind == CaseKind.HELD}
    rows = Inspection.objects.filter(part__in=found.values("part")).values_list("part_id", "decision")
    return {part: word for part, word in rows if word and part in known | held}


# --- the study --------------------------------------------------------------------------------------------
def _report(
    codes: tuple[str, ...], looks: list[Look], words: dict[int, str], reference: str
) -> AgreementReport:
    material = _material(looks, words, reference)
    people = {name: own for name, own in material.looks.items() if name != MODEL}
    study = agreement_study(material.looks, material.reference) if material.parts else None
    lacks = consensus_lacks(material)
    found = None if lacks else together(material)
    pairs, few = _pairs(study)
    return AgreementReport(
        lines=codes,
        reference=reference,
        parts=len(material.parts),
        looks=len(looks),
        known=int((material.known != MISSING).sum()),
        ruled=len(
            {look.part for look in looks if look.ruled_grade}
            - {look.part for look in looks if look.probe_grade}
        ),
        people_kappa=_fleiss("people_kappa", "People among each other", people),
        everybody_kappa=_fleiss("everybody_kappa", "People and the model", material.looks),
        all_agree=_all_agree(people),
        appraisers=[
            _appraiser(appraisal, place, material, found)
            for place, appraisal in enumerate(study.appraisals if study else ())
        ],
        pairs=pairs,
        pairs_too_few=few,
        consensus_lacks=lacks,
        contradictions=contradictions(material, looks, found),
    )


def _material(looks: list[Look], words: dict[int, str], reference: str) -> Material:
    parts = sorted({look.part for look in looks})
    place = {part: number for number, part in enumerate(parts)}
    truth, known = (np.full(len(parts), MISSING, dtype=np.int64) for _ in range(2))
    for look in looks:  # the newest ruling stands, a probe's grade stands above any
        if look.ruled_grade and reference == ALL:
            truth[place[look.part]] = look_codes([look.ruled_grade.upper()])[0]
    for look in looks:
        if look.probe_grade:
            truth[place[look.part]] = known[place[look.part]] = look_codes([look.probe_grade.upper()])[0]
    by_person: dict[str, list[Look]] = defaultdict(list)
    for look in looks:
        by_person[look.name].append(look)
    stacked = {
        name: stack_looks(
            [place[look.part] for look in own], look_codes(look.word for look in own), parts=len(parts)
        )
        for name, own in sorted(by_person.items())
    }
    cannot_tell = {
        name: Rate.of(sum(look.word == VerdictWord.CANNOT_TELL for look in own), len(own))
        for name, own in by_person.items()
    }
    # Held parts are here because it said GREY; only of known parts does that tell anything.
    said = [
        words[part] for part, grade in zip(parts, known, strict=True) if part in words and grade != MISSING
    ]
    model = look_codes(words.get(part, Decision.GREY) for part in parts)
    if said or (model != MISSING).any():
        stacked[MODEL] = model[None, :]
        cannot_tell[MODEL] = Rate.of(said.count(Decision.GREY), len(said))
    return Material(parts, stacked, truth, known, cannot_tell)


def _fleiss(name: str, label: str, looks: Mapping[str, IntArray]) -> ValueFigure:
    """Fleiss' kappa over first looks: a second look of the same person would count as another person's."""
    first = np.stack([own[0] for own in looks.values()]) if looks else np.zeros((0, 0), dtype=np.int64)
    repeated = int(((first != MISSING).sum(axis=0) >= 2).sum()) if first.size else 0
    kappa = fleiss_kappa(looks_per_category(first, categories=2)) if repeated else None
    return _kappa_figure(name, label, kappa, n=repeated, of="parts judged by two or more")


def _all_agree(people: Mapping[str, IntArray]) -> RateFigure:
    first = np.stack([own[0] for own in people.values()]) if people else np.zeros((1, 0), dtype=np.int64)
    several = (first != MISSING).sum(axis=0) >= 2
    same = several & ~((first == GOOD).any(axis=0) & (first == BAD).any(axis=0))
    return RateFigure(
        "all_agree",
        "All who judged it agree",
        Rate.of(int(same.sum()), int(several.sum())),
        "parts judged by two or more people",
        "No part was judged by two people.",
        FEWEST,
    )


def _pairs(study: Study | None) -> tuple[list[PairFigure], int]:
    """The pairs that share enough parts, the weakest agreement first, and how many share too few."""
    if study is None:
        return [], 0
    pairs = [
        PairFigure(
            first,
            second,
            RateFigure(
                "agree", "Agree", pair.agree, "looks of both are the same", "No part in common.", FEWEST
            ),
            _kappa_figure("kappa", "Cohen's kappa", pair.kappa, n=pair.agree.n, of="looks of both"),
        )
        for (first, second), pair in study.pairs.items()
    ]
    enough = [pair for pair in pairs if pair.agree.is_known]
    enough.sort(
        key=lambda pair: pair.kappa.value if pair.kappa.is_known and pair.kappa.value is not None else 2
    )
    possible = len(list(combinations(study.appraisals, 2)))
    return enough[:MOST_PAIRS], possible - len(enough)


# --- one appraiser ----------------------------------------------------------------------------------------
MEASURES: tuple[tuple[Measure, str, str, str], ...] = (
    (
        "effectiveness",
        "Effectiveness",
        "parts judged right in every look",
        "No part with a reference was judged.",
    ),
    ("underkill", "Underkill (miss rate)", "looks at bad parts passed them", "No bad part was judged."),
    (
        "overkill",
        "Overkill (false alarm rate)",
        "looks at good parts rejected them",
        "No good part was judged.",
    ),
)


def _appraiser(appraisal: Appraisal, place: int, material: Material, found: Together | None) -> Appraiser:
    name = appraisal.name
    measures = tuple(
        _judged(measure, RateFigure(measure, label, getattr(appraisal, measure), words, nothing, FEWEST))
        for measure, label, words, nothing in MEASURES
    )
    return Appraiser(
        name=name,
        is_model=name == MODEL,
        measures=measures,  # type: ignore[arg-type] # MEASURES are three
        standing=next(word for word in WORST_FIRST if word in {judged.standing for judged in measures}),
        cannot_tell=RateFigure(
            "cannot_tell",
            "Cannot tell",
            material.cannot_tell[name],
            "looks gave no answer",
            "No look.",
            FEWEST,
        ),
        reference_kappa=_kappa_figure(
            "reference_kappa", "Kappa against the reference", appraisal.reference_kappa, of="looks"
        ),
        repeatability=RateFigure(
            "repeatability",
            "Repeatability",
            appraisal.repeatability,
            "parts seen twice or more were judged the same each time",
            "No part was seen twice.",
            FEWEST,
        ),
        repeatability_kappa=_kappa_figure(
            "repeatability_kappa",
            "Kappa among their own looks",
            appraisal.repeatability_kappa,
            n=appraisal.repeatability.n,
            of="parts seen twice or more",
        ),
        consensus_underkill=estimated("underkill", "bad", found, place, truth=BAD, said=GOOD),
        consensus_overkill=estimated("overkill", "good", found, place, truth=GOOD, said=BAD),
    )


def _judged(measure: Measure, figure: RateFigure) -> Judged:
    if not figure.is_known:
        return Judged(figure, "unknown", is_sure=False)
    standing = aiag_standing(measure, figure.rate)
    acceptable, marginal = AIAG_LIMITS[measure]
    bounds = (figure.rate.lower, figure.rate.upper)
    on_good_side = [
        (bound >= limit) if measure == "effectiveness" else (bound <= limit)
        for bound in bounds
        for limit in (acceptable, marginal)
    ]
    return Judged(figure, standing, is_sure=on_good_side[:2] == on_good_side[2:])


def _kappa_figure(
    name: str, label: str, kappa: Kappa | None, *, of: str, n: int | None = None
) -> ValueFigure:
    if kappa is None:
        return ValueFigure(name, label, None, -1.0, 1.0, n or 0, of, "Nothing to compare.", FEWEST)
    n = kappa.n if n is None else n
    nothing = f"All {n} say the same word: by chance alone they would too."
    return ValueFigure(
        name, label, float(kappa.value), kappa.lower, kappa.upper, n, of, nothing, FEWEST, kappa_word(kappa)
    )
