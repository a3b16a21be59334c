"""How a case is told to a screen or a program: plain dictionaries, no names of inspectors, and no kind of case."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from accounts.models import Person, Role
from accounts.queries import has_role
from inspection.models import Inspection, Part
from inspection.states import Reason
from review import queries
from review.containment import Containment, Suspect
from review.models import Case, Criterion, FirstOpinion, ReviewPolicy, Ruling, Verdict
from review.precedents import Evidence, Precedent, evidence_of, precedents
from review.states import CaseKind

COMPARED_AFTER = timedelta(seconds=3)
AHEAD = 3  # cases whose pictures a screen fetches before it needs them
MOST_AHEAD = 500
_AHEAD: dict[tuple[int, datetime], dict[str, Any]] = {}  # by case and when it was opened
UNMARKED = frozenset({CaseKind.AUDIT, CaseKind.PROBE})


def case_record(case: Case, *, is_blind: bool = False) -> dict[str, Any]:
    """One case as any screen shows it: an audit and a probe look like a grey part of their line.

    is_blind  nothing of what the model says
    """
    part = case.shown_part
    golden = _golden_of(case)
    reason = (
        Reason.GREY_BAND if case.kind in UNMARKED or part.hold_reason is None else Reason(part.hold_reason)
    )
    return {
        "case": case.pk,
        "part": part.pk,
        "plc_part_id": part.plc_part_id,
        "serial": part.serial,
        "line": part.line.code,
        "station": part.station.code,
        "part_type": part.line.part_type.name,
        "model": golden.model_name if golden else "",
        "state": case.state,
        "reason": reason,
        "reason_text": str(reason.label),
        "score": None if is_blind else _told_score(case.shown_score),
        "grey_from": golden.grey_from if golden and not is_blind else None,
        "grey_to": golden.grey_to if golden and not is_blind else None,
        "triggered_at": part.triggered_at,
        "opened_at": case.opened_at,
        "deadline_at": case.deadline_at,
        "is_late": case.late_at is not None,
        "views": [
            {"view": image.view, "image_url": _url("case_image", case, view=image.view)}
            for image in case.part.images.all()
            if not image.problem
        ],
        "image_url": image_url(case),
        "map_url": None if is_blind else map_url(case),
        "reference_url": reference_url(case),
    }


def _told_score(score: float | None) -> float | None:
    """Rounded: a score that no model computed would have digits that no model's have."""
    return None if score is None else round(score, 4)


def _golden_of(case: Case) -> Any:
    """The configuration on the screen: an unmarked case shows the one under which its line works."""
    inspection = inspection_of(case.shown_part) or inspection_of(case.part)
    return inspection.golden if inspection else None


@dataclass(frozen=True, slots=True)
class Look:
    """What the person at the screen may see of a case now."""

    policy: ReviewPolicy
    first_opinion: FirstOpinion | None

    @property
    def is_blind(self) -> bool:
        return self.policy.is_blind_first and self.first_opinion is None


def look_at(case: Case, person: Person) -> Look:
    policy = queries.policy_of(case.shown_part.line_id)
    first = queries.has_first_opinion(case, person.pk) if policy.is_blind_first else None
    return Look(policy, first)


def leased_record(case: Case, person: Person, lines: queries.Lines) -> dict[str, Any]:
    """The case on the person's screen, the state of the queue, and the pictures of the cases that are likely next."""
    look = look_at(case, person)
    return {
        **case_record(case, is_blind=look.is_blind),
        "is_blind": look.policy.is_blind_first,
        "first_opinion": look.first_opinion and look.first_opinion.verdict,
        "amber_s": look.policy.amber_s,
        "defect_types": look.policy.defect_types,
        "precedents": [] if look.is_blind else _precedents_shown(case),
        "criteria": criteria_of(case.shown_part),
        "lease": lease_record(case),
        "queue": _queue_record(person, lines),
        "next": _ahead_records(person, lines, is_blind=look.policy.is_blind_first),
    }


def _queue_record(person: Person, lines: queries.Lines) -> dict[str, Any]:
    """How many ties wait is for the expert: one more after a CANNOT_TELL would tell that it was no probe."""
    figures = queries.queue_figures(lines, timezone.now())
    return figures if has_role(person, Role.QUALITY_EXPERT) else {**figures, "ties": None}


def _precedents_shown(case: Case) -> list[dict[str, Any]]:
    """None in a case's first seconds: a held part is not compared yet then, a known part would be, and that tells."""
    if timezone.now() - case.opened_at < COMPARED_AFTER:
        return []
    return [precedent_record(each) for each in precedents(case.part)]


def _ahead_records(person: Person, lines: queries.Lines, *, is_blind: bool) -> list[dict[str, Any]]:
    """The likely next cases; most screens at work are told the same ones, so each is put together once."""
    following = queries.next_in_turn(lines, person.pk, now=timezone.now(), most=AHEAD)
    told = {case: _AHEAD[case] for case in following if case in _AHEAD}
    if unknown := [case_id for case_id, opened_at in following if (case_id, opened_at) not in told]:
        for case in queries.cases().filter(pk__in=unknown):
            told[case.pk, case.opened_at] = record = _ahead_record(case)
            if record["map_url"]:  # else its map may still come
                _AHEAD[case.pk, case.opened_at] = record
    for oldest in list(_AHEAD)[:-MOST_AHEAD]:
        _AHEAD.pop(oldest, None)
    ahead = [told[case] for case in following if case in told]
    return [{**each, "map_url": None, "grey_from": None} for each in ahead] if is_blind else ahead


def _ahead_record(case: Case) -> dict[str, Any]:
    golden = _golden_of(case)
    return {
        "case": case.pk,
        "image_url": image_url(case),
        "map_url": map_url(case),
        "reference_url": reference_url(case),
        "grey_from": golden.grey_from if golden else None,
    }


def lease_record(case: Case) -> dict[str, Any]:
    return {"token": case.lease_token, "expires_at": case.lease_expires_at}


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    return {
        "case": verdict.case_id,
        "verdict": verdict.verdict,
        "is_escalation": verdict.is_escalation,
        "defect_type": verdict.defect_type,
        "note": verdict.note,
        "given_at": verdict.given_at,
        "undo_until": verdict.commit_at,
    }


def tie_records(cases: Iterable[Case]) -> list[dict[str, Any]]:
    """Ties of `queries.ties` with every opinion that stands; whose they are is not told."""
    found = list(cases)
    books = {case.shown_part.line.part_type_id: case.shown_part for case in found}
    criteria = {part_type: criteria_of(part) for part_type, part in books.items()}
    evidence = evidence_of([case.part for case in found])
    return [
        _tie_record(case, criteria[case.shown_part.line.part_type_id], evidence[case.part_id])
        for case in found
    ]


def _tie_record(case: Case, criteria: list[dict[str, Any]], evidence: Evidence) -> dict[str, Any]:
    flag = getattr(case, "flag", None)
    inspection = inspection_of(case.part)
    return {
        **case_record(case),
        "kind": case.kind,
        "score": inspection.score if inspection else None,  # the expert is told what the model really said
        "is_for_the_record": case.late_at is not None or case.kind != CaseKind.HELD,
        "flag": flag and {"note": flag.note, "flagged_at": flag.flagged_at},
        "opinions": [opinion_record(verdict) for verdict in case.verdicts.all()],
        "precedents": [precedent_record(each) for each in evidence.precedents],
        "contradictions": [precedent_record(each) for each in evidence.contradictions],
        "criteria": criteria,
    }


def opinion_record(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.verdict,
        "label": verdict.get_verdict_display(),
        "is_escalation": verdict.is_escalation,
        "first_verdict": verdict.first_verdict,
        "defect_type": verdict.defect_type,
        "note": verdict.note,
        "handling": verdict.handling,
        "handling_text": verdict.get_handling_display() if verdict.handling else "",
        "given_at": verdict.given_at,
    }


def precedent_record(precedent: Precedent) -> dict[str, Any]:
    return {
        "case": precedent.case,
        "grade": precedent.grade,
        "defect_type": precedent.defect_type,
        "note": precedent.note,
        "criterion": precedent.criterion,
        "similarity": round(precedent.similarity, 3),
        "image_url": reverse("case_image", args=[precedent.case]),
        "map_url": reverse("case_map", args=[precedent.case]),
    }


def criteria_of(part: Part) -> list[dict[str, Any]]:
    """The acceptance book of the part's type as it stands."""
    lines = Criterion.objects.filter(part_type=part.line.part_type_id, retired_at=None).order_by("number")
    return [{"number": line.number, "text": line.text, "defect_type": line.defect_type} for line in lines]


def ruling_record(ruling: Ruling) -> dict[str, Any]:
    return {
        "case": ruling.case_id,
        "grade": ruling.grade,
        "defect_type": ruling.defect_type,
        "note": ruling.note,
        "is_precedent": ruling.is_precedent,
        "ruled_at": ruling.ruled_at,
    }


def inspection_of(part: Part) -> Inspection | None:
    # .all() and not .first(): it uses what the query has prefetched.
    return next(iter(part.inspections.all()), None)


def image_url(case: Case, view: str = "main") -> str | None:
    """None where nobody can be shown an image: none came, or it cannot be read."""
    shown = any(image.view == view and not image.problem for image in case.part.images.all())
    return _url("case_image", case, view=view) if shown else None


def map_url(case: Case) -> str | None:
    inspection = inspection_of(case.part)
    return _url("case_map", case) if inspection and inspection.map_file else None


def reference_url(case: Case) -> str | None:
    return _url("case_reference", case) if case.part.images.all() else None


def containment_record(found: Containment) -> dict[str, Any]:
    """One stretch of the list of parts that may be bad for the same reason."""
    told = {name: getattr(found, name) for name in found.__slots__ if name not in {"after", "suspects"}}
    return {
        **told,
        "after": found.after
        and "_".join([repr(found.after.score), str(found.after.part), found.after.until.isoformat()]),
        "parts": [suspect_record(each) for each in found.suspects],
    }


def suspect_record(suspect: Suspect) -> dict[str, Any]:
    return {
        "part": suspect.part,
        "plc_part_id": suspect.plc_part_id,
        "serial": suspect.serial,
        "passed_at": suspect.passed_at,
        "score": suspect.score,
        "similarity": suspect.similarity,
        "why": ", ".join(suspect.why),
    }


def _url(name: str, case: Case, **query: str) -> str:
    address = reverse(name, args=[case.pk])
    return f"{address}?{'&'.join(f'{key}={value}' for key, value in query.items())}" if query else address
