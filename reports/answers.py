"""Records and reports as the REST API answers them (docs: the contract of GET parts/ and reports/)."""

import hashlib
from typing import Any

from django.urls import reverse

from audit.models import Event
from inspection import storage
from inspection.models import Disposition, Image, Inspection
from inspection.states import Reason, Source
from metrics.pass_audit import PER_MILLION
from reports.boards import image_url, map_url
from reports.queries.audits import AuditReport
from reports.queries.management import Report
from reports.queries.records import Record


def part_answer(record: Record) -> dict[str, Any]:
    part, case, ruling = record.part, record.case, record.ruling
    return {
        "id": part.pk,
        "plc_part_id": part.plc_part_id,
        "serial": part.serial,
        "line": part.line.code,
        "station": part.station.code,
        "part_type": part.part_type.code,
        "epoch": part.epoch,
        "trigger_seq": part.trigger_seq,
        "state": part.state,
        "triggered_at": part.triggered_at,
        "captured_at": part.captured_at,
        "held_at": part.held_at,
        "disposed_at": part.disposed_at,
        "image": image_url(record),
        "map": map_url(record),
        "disposition": _disposition(record.standing),
        "inspections": [_inspection(look) for look in record.inspections],
        "case": case
        and {
            "id": case.pk,
            "state": case.state,
            "opened_at": case.opened_at,
            "deadline_at": case.deadline_at,
            "reviewer": case.reviewer and case.reviewer.get_username(),
            "closed_at": case.closed_at,
            "closed_by": case.closed_by,
        },
        "verdicts": [
            {
                "verdict": verdict.verdict,
                "person": verdict.person.get_username(),
                "is_escalation": verdict.is_escalation,
                "defect_type": verdict.defect_type,
                "note": verdict.note,
                "seen_ms": verdict.seen_ms,
                "given_at": verdict.given_at,
                "undone_at": verdict.undone_at,
            }
            for verdict in record.verdicts
        ],
        "ruling": ruling
        and {
            "grade": ruling.grade,
            "person": ruling.person.get_username(),
            "note": ruling.note,
            "ruled_at": ruling.ruled_at,
        },
        "deliveries": [
            {
                "mailbox": delivery.mailbox.code,
                "seq": delivery.seq,
                "outcome": delivery.disposition.outcome,
                "state": delivery.state,
                "sent_at": delivery.sent_at,
                "acked_at": delivery.acked_at,
                "ack_code": delivery.ack_code,
                "problem": delivery.problem,
            }
            for delivery in record.deliveries.values()
        ],
        "url": reverse("part", args=[part.pk]),
    }


def _disposition(disposition: Disposition | None) -> dict[str, Any] | None:
    if disposition is None:
        return None
    return {
        "outcome": disposition.outcome,
        "is_final": disposition.is_final,
        "source": Source(disposition.source).name.lower(),
        "reason": Reason(disposition.reason).name.lower(),
        "note": disposition.note,
        "person": disposition.person and disposition.person.get_username(),
        "decided_at": disposition.decided_at,
        "superseded_at": disposition.superseded_at,
        "applied_at": disposition.applied_at,
    }


def _inspection(look: Inspection) -> dict[str, Any]:
    return {
        "score": look.score,
        "decision": look.decision or None,
        "decided_by": look.decided_by,
        "model": look.golden and look.golden.model_sha256,
        "golden_configuration": look.golden
        and {
            "id": look.golden.pk,
            "number": look.golden.number,
            "content_sha256": look.golden.content_sha256,
            "grey_from": look.golden.grey_from,
            "grey_to": look.golden.grey_to,
        },
        "problem": look.problem,
        "finished_at": look.finished_at,
        "latency_ms": look.latency_ms,
    }


def evidence_answer(record: Record) -> dict[str, Any]:
    """The whole record with its place in the hash chain; the stored image bytes are hashed again for it."""
    return {
        **part_answer(record),
        "dispositions": [_disposition(row) for row in record.dispositions],
        "images": [_image(record, image) for image in record.images],
        "events": [event_answer(event) for event in record.events],
    }


def _image(record: Record, image: Image) -> dict[str, Any]:
    try:
        stored = hashlib.sha256(storage.read(image.file)).hexdigest()
    except OSError:
        stored = None
    return {
        "view": image.view,
        "url": f"{reverse('part_image', args=[record.part.pk])}?view={image.view}",
        "sha256": image.sha256,
        "stored_bytes_match": stored == image.sha256,
        "byte_count": image.byte_count,
        "width": image.width,
        "height": image.height,
        "problem": image.problem,
        "received_at": image.received_at,
    }


def event_answer(event: Event) -> dict[str, Any]:
    seal = getattr(event, "seal", None)
    return {
        "seq": event.pk,
        "at": event.at,
        "actor": f"{event.actor_kind}:{event.actor_name}",
        "subject": f"{event.subject_kind}:{event.subject_id}",
        "version": event.subject_version,
        "verb": event.verb,
        "before": event.before,
        "after": event.after,
        "details": event.details,
        # None: the sealing process has not come to it yet, or the event is younger than a second.
        "chain": seal and {"number": seal.number, "previous_hash": seal.previous_hash, "hash": seal.hash},
    }


# --- reports ----------------------------------------------------------------------------------------------
def yield_answer(report: Report) -> dict[str, Any]:
    return {
        "line": report.line_code or None,
        "triggered": report.triggered,
        "final": report.final,
        **{figure.name: figure.as_json() for figure in report.yields},
        **{spread.name: spread.as_json() for spread in report.times},
        "decisions_by_source": [
            {"source": source, "passed": passed, "rejected": rejected}
            for source, passed, rejected in report.sources
        ],
        "hold_reasons": [{"reason": reason, "count": count} for reason, count in report.hold_reasons],
    }


def underkill_answer(report: Report) -> dict[str, Any]:
    return {
        "line": report.line_code or None,
        "truth": {
            "known": report.truth_known,
            "graded_by_people": report.truth_graded,
            "parts": report.triggered,
        },
        "system": {figure.name.removeprefix("system_"): figure.as_json() for figure in report.system},
        "model": {figure.name.removeprefix("model_"): figure.as_json() for figure in report.model},
    }


def audit_answer(audit: AuditReport) -> dict[str, Any]:
    """The estimated escapes, with what they rest on; never part of a yield."""
    estimate, underkill = audit.estimate, audit.underkill
    return {
        "passes": audit.passes,
        "never_drawn": audit.never_drawn,
        "uncovered": audit.uncovered,
        "drawn": audit.drawn,
        "judged": audit.judged,
        "bad": audit.bad,
        "waiting_for_the_expert": audit.tied,
        "judged_by_nobody": audit.unjudged,
        "on_their_way": audit.open,
        "looks_drawn_as_said": audit.looks_drawn_as_said,
        "bad_passes": estimate
        and {
            "value": estimate.bad_passes,
            "standard_error": estimate.standard_error,
            "lower_95": estimate.lower,
            "upper_95": estimate.upper,
        },
        "per_million": estimate
        and {
            **dict(zip(("value", "lower_95", "upper_95"), estimate.per_million, strict=True)),
            "limit_95": estimate.upper_limit_per_million,
        },
        "per_million_were_all_unjudged_bad": audit.worst and audit.worst.per_million[0],
        "underkill": underkill
        and {
            "were_unknown_rejects_bad": underkill[0],
            "were_unknown_rejects_good": underkill[1],
            "lower_95": underkill[2],
            "upper_95": underkill[3],
        },
        "lacks": audit.lacks or None,
        "hidden": audit.hidden or None,
        "strata": [
            {
                "line": stratum.line,
                "share": stratum.share,
                "passes": stratum.passes,
                "drawn": stratum.drawn,
                "judged": stratum.judged,
                "bad": stratum.bad,
            }
            for stratum in audit.strata
        ],
    }


def audit_rows(audits: dict[str, AuditReport]) -> list[dict[str, Any]]:
    """Of audited passes, as counted; the rate is weighted by how likely each was to be drawn."""
    return [
        {
            "line": code or "all",
            "figure": "audited_escape_rate",
            "k": audit.bad,
            "n": audit.judged,
            **{
                name: audit.estimate.per_million[place] / PER_MILLION if audit.estimate else ""
                for place, name in enumerate(("rate", "lower_95", "upper_95"))
            },
        }
        for code, audit in audits.items()
        if audit.drawn and (code or len(audits) > 2)
    ]


CSV_COLUMNS = ("line", "figure", "k", "n", "rate", "lower_95", "upper_95")


def csv_rows(reports: list[Report], *, only_underkill: bool) -> list[dict[str, Any]]:
    """One rate a row, never without its n and its bound."""
    return [
        {
            "line": report.line_code or "all",
            "figure": figure.name,
            "k": figure.rate.k,
            "n": figure.rate.n,
            "rate": figure.rate.value if figure.is_known else "",
            "lower_95": figure.rate.lower if figure.is_known else "",
            "upper_95": figure.rate.upper if figure.is_known else "",
        }
        for report in reports
        for figure in ([*report.system, *report.model] if only_underkill else report.yields)
    ]
