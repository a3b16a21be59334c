"""A closed case becomes a grade; a truth known from elsewhere is kept apart from it."""

from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import record
from inspection.models import Part
from labeling import queries
from labeling.models import Grade, KnownTruth
from labeling.states import GradeSource, GradeWord
from review.models import Case
from review.states import VerdictWord

MOST_A_TURN = 200


class ContradictingTruthError(Exception):
    """This part's truth is known already, and it was another one."""


class _Word(NamedTuple):
    grade: GradeWord
    source: GradeSource
    person: Person
    graded_at: datetime


def grade_closed_cases(*, actor: Actor) -> int:
    """Give every case that people closed its grade; returns how many are new. Calling it again changes nothing."""
    graded = 0
    for case in queries.ungraded_closed_cases()[:MOST_A_TURN]:
        word = _last_word(case)
        if word is None:
            continue
        with transaction.atomic():
            grade, is_new = Grade.objects.get_or_create(
                part=case.part, defaults={**word._asdict(), "defect_type": _defect_type(case, word.grade)}
            )
            if is_new:
                details = {"part": case.part_id, "grade": grade.grade, "source": grade.source}
                record(grade, "graded", actor=actor, details=details)
                graded += 1
    return graded + _regrade(actor)


def _regrade(actor: Actor) -> int:
    """A later ruling of the expert (a missed defect that was flagged, a correction) stands above the grade before it."""
    overruled = list(queries.overruled_grades()[:MOST_A_TURN])
    for case in overruled:
        ruling, grade = case.ruling, case.part.grade
        before = grade.grade
        grade.grade, grade.source = GradeWord(ruling.grade), GradeSource.RULING
        grade.person, grade.graded_at, grade.defect_type = ruling.person, ruling.ruled_at, ruling.defect_type
        with transaction.atomic():
            grade.save(update_fields=["grade", "source", "person", "graded_at", "defect_type"])
            details = {"part": case.part_id, "before": before, "after": grade.grade}
            record(grade, "regraded", actor=actor, details=details)
    return len(overruled)


def record_known_grade(*, part: Part, grade: GradeWord, actor: Actor, defect_type: str = "") -> KnownTruth:
    """Keep a truth that a test folder or a measurement tells. Reports read it; no dataset ever does.

    Raises ContradictingTruthError if the part is known to be the other.
    """
    with transaction.atomic():
        known, is_new = KnownTruth.objects.get_or_create(
            part=part, defaults={"grade": grade, "defect_type": defect_type}
        )
        if is_new:
            record(known, "known", actor=actor, details={"part": part.pk, "grade": str(grade)})
    if known.grade != grade:
        raise ContradictingTruthError(f"Part {part} is known to be {known.grade}, not {grade}.")
    return known


def _last_word(case: Case) -> _Word | None:
    """Who decided the case: the expert's ruling (of a tie, or in correction), or else the standing verdict."""
    if ruling := getattr(case, "ruling", None):
        return _Word(GradeWord(ruling.grade), GradeSource.RULING, ruling.person, ruling.ruled_at)
    for verdict in case.standing_verdicts:  # type: ignore[attr-defined] # prefetched; those who judged it agree
        if verdict.verdict == VerdictWord.PASS:
            return _Word(GradeWord.GOOD, GradeSource.VERDICT, verdict.person, verdict.given_at)
        if verdict.verdict == VerdictWord.REJECT:
            return _Word(GradeWord.BAD, GradeSource.VERDICT, verdict.person, verdict.given_at)
    return None


def _defect_type(case: Case, grade: GradeWord) -> str:
    if grade == GradeWord.GOOD:
        return ""
    if (ruling := getattr(case, "ruling", None)) and ruling.defect_type:
        return str(ruling.defect_type)
    return next((each.defect_type for each in case.standing_verdicts), "")  # type: ignore[attr-defined]
