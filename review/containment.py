"""What else may have escaped: the parts that the same model passed near an escaped part's score or appearance."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from inspection.models import GoldenConfiguration, Inspection, Line, Part
from inspection.states import Decision, Outcome, Source
from review.appearances import alike_from, point_of, want
from review.models import Case
from review.states import CaseKind, CaseState, ClosedBy, Grade
from vision.appearance import SPACE, from_bytes

MOST_ROWS = 1_000
MARGIN_SHARE = (
    0.1  # of the score from which on parts are grey: so near to the escaped part a score says the same
)
GOOD_CHECK, ACTIVATION, FIRST_PART = "good check", "activation", "first part"
NEAR_SCORE, NEAR_APPEARANCE = "score", "appearance"
NOT_COMPARED, NOT_COMPARABLE = "not compared yet", "cannot be compared"


class NoEscapeError(Exception):
    """The case is of no part that the model passed, so there is nothing to contain."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A passed part that may have the same fault.

    similarity  to the escaped part, -1..1; None where one of the two has no point
    why         score: at most the margin below the escaped part's, or above it · appearance: unusually alike · not
                compared yet: its point is on its way · cannot be compared: its picture, or the escaped part's, is lost
    """

    part: int
    plc_part_id: str
    serial: str
    passed_at: datetime
    score: float
    similarity: float | None
    why: tuple[str, ...]


class After(NamedTuple):
    """Where the next stretch begins: behind this score and part, among the parts that were passed until then."""

    score: float
    part: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Containment:
    """One stretch of the list.

    since_by    `good check`: the last one before the escape (`check_case`) · `activation` of the golden configuration
                · `first part` of the model (`since` is None); `sentence` says it for people
    passed      parts that the model passed in that time, near or not, without the escaped one
    near_score  how many of them are near in score; they come first
    rest        how many of `passed` lie beyond this stretch; `after` continues there, None at the end
    """

    case: int
    part: int
    model_sha256: str
    since: datetime | None
    until: datetime
    since_by: str
    check_case: int | None
    sentence: str
    score: float
    margin: float
    similarity_from: float
    passed: int
    near_score: int
    rest: int
    after: After | None
    suspects: list[Suspect]


def containment(case: Case, *, after: After | None = None, most: int = MOST_ROWS) -> Containment:
    """Parts of the escape's line that the same model passed since the last good check, the highest score first.

    Listed are those near in score or in appearance, and those that are not compared: a missing point is asked for, so
    that the list is shorter when it is opened again. Of a stretch of `most` parts some may be far in both: then it
    lists fewer.

    Raises NoEscapeError where the model did not pass the case's part.
    """
    until = after.until if after else timezone.now()
    look, golden, score = _escape(case)
    score_from = score - MARGIN_SHARE * golden.grey_from
    check = _last_good_check(case, golden.model_sha256, before=look.finished_at)
    since, since_by, sentence = _bound(check, golden, before=look.finished_at)
    passed = _passed(case.part.line, golden.model_sha256, since=since, until=until).exclude(pk=case.part_id)
    rows = _rows(passed if after is None else _beyond(passed, after), most)
    last = After(rows[-1]["score"], rows[-1]["pk"], until) if rows else None
    rest = _beyond(passed, last).count() if last else 0
    similarity_from = alike_from(case.part.part_type_id)
    suspects = _suspects(rows, point_of(case.part_id), score_from=score_from, limit=similarity_from)
    want([case.part_id, *(each.part for each in suspects if NOT_COMPARED in each.why)])
    return Containment(
        case=case.pk,
        part=case.part_id,
        model_sha256=golden.model_sha256,
        since=since,
        until=until,
        since_by=since_by,
        check_case=check.pk if check else None,
        sentence=sentence,
        score=score,
        margin=score - score_from,
        similarity_from=similarity_from,
        passed=passed.count(),
        near_score=passed.filter(inspections__score__gte=score_from).count(),
        rest=rest,
        after=last if rest else None,
        suspects=suspects,
    )


def _escape(case: Case) -> tuple[Inspection, GoldenConfiguration, float]:
    by_model = case.part.dispositions.filter(is_final=True, outcome=Outcome.PASS, source=Source.MODEL)
    look = (
        case.part.inspections.filter(dispositions__in=by_model)
        .exclude(decision="")
        .select_related("golden")
        .first()
    )
    if look is None or look.golden is None or look.score is None:
        raise NoEscapeError(
            f"Part {case.part} was not passed by the model: there is nothing of it to contain."
        )
    return look, look.golden, look.score


def _last_good_check(case: Case, model_sha256: str, *, before: datetime) -> Case | None:
    """The newest part before the escape of which people confirmed that the model passed it rightly."""
    found_good = Q(kind=CaseKind.AUDIT, closed_by=ClosedBy.VERDICT) | Q(
        kind__in=[CaseKind.AUDIT, CaseKind.FLAGGED], ruling__grade=Grade.GOOD
    )
    return (
        Case.objects.filter(
            found_good,
            state=CaseState.CLOSED,
            part__line=case.part.line_id,
            part__inspections__decision=Decision.GOOD,
            part__inspections__golden__model_sha256=model_sha256,
            part__inspections__finished_at__lt=before,
        )
        .exclude(part=case.part_id)
        .annotate(looked_at=F("part__inspections__finished_at"))
        .select_related("part")
        .order_by("-looked_at", "-id")
        .first()
    )


def _bound(check: Any, golden: GoldenConfiguration, *, before: datetime) -> tuple[datetime | None, str, str]:
    if check is not None:
        sentence = (
            f"Since part {check.part}, the last one before the escape that people found to be rightly passed."
        )
        return check.looked_at, GOOD_CHECK, sentence
    if golden.activated_at is not None and golden.activated_at <= before:
        sentence = f"No pass was checked before the escape: since {golden} was activated."
        return golden.activated_at, ACTIVATION, sentence
    sentence = "No pass was checked before the escape, and the model was activated again later: since its first part."
    return None, FIRST_PART, sentence


def _passed(line: Line, model_sha256: str, *, since: datetime | None, until: datetime) -> QuerySet[Part]:
    """What the model passed on the line in this time, itself and under this very model file."""
    parts = Part.objects.filter(
        line=line,
        dispositions__is_final=True,
        dispositions__outcome=Outcome.PASS,
        dispositions__source=Source.MODEL,
        dispositions__decided_at__lte=until,
        inspections__golden__model_sha256=model_sha256,
    )
    if since is None:
        return parts
    # A part is held if its picture or its decision comes late, so this bound leaves none out; it has an index.
    longest = timedelta(milliseconds=line.capture_deadline_ms + line.inspect_deadline_ms)
    return parts.filter(inspections__finished_at__gt=since, triggered_at__gte=since - longest)


def _beyond(parts: QuerySet[Part], after: After) -> QuerySet[Part]:
    return parts.filter(
        Q(inspections__score__lt=after.score) | Q(inspections__score=after.score, pk__lt=after.part)
    )


def _rows(parts: QuerySet[Part], most: int) -> list[Any]:
    return list(
        parts.order_by("-inspections__score", "-pk").values(
            "pk",
            "plc_part_id",
            "serial",
            passed_at=F("dispositions__decided_at"),
            score=F("inspections__score"),
            space=F("appearance__space"),
            vector=F("appearance__vector"),
        )[:most]
    )


def _suspects(rows: list[Any], escaped: bytes | None, *, score_from: float, limit: float) -> list[Suspect]:
    """Which rows to list; `escaped` is the escaped part's point: empty if its picture is lost, None if not made yet."""
    alike = _similarities(rows, escaped)
    suspects = []
    for row in rows:
        similarity = alike.get(row["pk"])
        why = []
        if row["score"] >= score_from:
            why.append(NEAR_SCORE)
        if similarity is None:
            is_lost = escaped == b"" or (row["space"] == SPACE and not row["vector"])
            why.append(NOT_COMPARABLE if is_lost else NOT_COMPARED)
        elif similarity >= limit:
            why.append(NEAR_APPEARANCE)
        if why:
            suspects.append(
                Suspect(
                    part=row["pk"],
                    plc_part_id=row["plc_part_id"],
                    serial=row["serial"],
                    passed_at=row["passed_at"],
                    score=row["score"],
                    similarity=similarity,
                    why=tuple(why),
                )
            )
    return suspects


def _similarities(rows: list[Any], escaped: bytes | None) -> dict[int, float]:
    with_point = [row for row in rows if row["space"] == SPACE and row["vector"]]
    if not escaped or not with_point:
        return {}
    alike = from_bytes([bytes(row["vector"]) for row in with_point]) @ from_bytes([escaped])[0]
    return {row["pk"]: float(similarity) for row, similarity in zip(with_point, alike, strict=True)}
