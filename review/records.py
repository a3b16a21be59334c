"""How a case is told to a screen or a program: plain dictionaries, no names of inspectors."""

from typing import Any

from django.urls import reverse
from django.utils import timezone

from inspection.models import Inspection, Part
from review import queries
from review.models import Case, Ruling, Verdict


def case_record(case: Case) -> dict[str, Any]:
    """One case with what the model said of its part."""
    part = case.part
    inspection = inspection_of(part)
    golden = inspection.golden if inspection else None
    return {
        "case": case.pk,
        "part": part.pk,
        "plc_part_id": part.plc_part_id,
        "serial": part.serial,
        "line": part.line.code,
        "station": part.station.code,
        "state": case.state,
        "reason": part.hold_reason,
        "reason_text": part.get_hold_reason_display() or "",
        "score": inspection.score if inspection else None,
        "grey_from": golden.grey_from if golden else None,
        "grey_to": golden.grey_to if golden else None,
        "triggered_at": part.triggered_at,
        "opened_at": case.opened_at,
        "deadline_at": case.deadline_at,
        "image_url": image_url(part),
        "map_url": map_url(part),
    }


def leased_record(case: Case, lines: queries.Lines) -> dict[str, Any]:
    """The case on the person's screen, the state of the queue, and the pictures of the case that is likely next."""
    following = queries.waiting_cases(lines).first()
    return {
        **case_record(case),
        "lease": lease_record(case),
        "queue": queries.queue_figures(lines, timezone.now()),
        "next": following and {"image_url": image_url(following.part), "map_url": map_url(following.part)},
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


def tie_record(case: Case) -> dict[str, Any]:
    """A tie of `queries.ties` with every opinion that stands; whose they are is not told."""
    return {**case_record(case), "opinions": [opinion_record(verdict) for verdict in case.verdicts.all()]}


def opinion_record(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.verdict,
        "label": verdict.get_verdict_display(),
        "is_escalation": verdict.is_escalation,
        "defect_type": verdict.defect_type,
        "note": verdict.note,
        "given_at": verdict.given_at,
    }


def ruling_record(ruling: Ruling) -> dict[str, Any]:
    return {"case": ruling.case_id, "grade": ruling.grade, "note": ruling.note, "ruled_at": ruling.ruled_at}


def inspection_of(part: Part) -> Inspection | None:
    # .all() and not .first(): it uses what the query has prefetched.
    return next(iter(part.inspections.all()), None)


def image_url(part: Part, view: str = "main") -> str | None:
    """None where nobody can be shown an image: none came, or it cannot be read."""
    shown = any(image.view == view and not image.problem for image in part.images.all())
    return f"{reverse('part_image', args=[part.pk])}?view={view}" if shown else None


def map_url(part: Part) -> str | None:
    inspection = inspection_of(part)
    return reverse("part_map", args=[part.pk]) if inspection and inspection.map_file else None
