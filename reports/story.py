"""The story of one part for people: every event of the audit trail and every answer of the PLC, in order."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.models import Event
from inspection.states import Reason, Source
from plc.states import DeliveryState
from reports.figures import duration
from reports.queries.records import Record

TITLES = {
    ("part", "triggered"): "Triggered",
    ("part", "captured"): "Image captured",
    ("part", "image_added"): "Another image",
    ("part", "image_unreadable"): "Image cannot be read",
    ("part", "inspected"): "Inspected by the model",
    ("part", "held"): "Held for a person",
    ("part", "pass"): "Passed",
    ("part", "reject"): "Rejected",
    ("part", "corrected"): "Corrected by the quality expert",
    ("part", "reinstated"): "Correction refused, the former disposition stands again",
    ("case", "opened"): "Case opened",
    ("case", "leased"): "On an inspector's screen",
    ("case", "returned"): "Given back to the queue",
    ("case", "lease_ended"): "Back in the queue, the lease had ended",
    ("case", "verdict"): "Verdict",
    ("case", "verdict_undone"): "Verdict undone",
    ("case", "first_opinion"): "First opinion, before anything was shown",
    ("case", "second_opinion"): "Waits for a second opinion",
    ("case", "deadline_passed"): "Deadline passed; judged on for the record",
    ("case", "flagged"): "Flagged on the floor as a missed defect",
    ("case", "tied"): "Waits for the quality expert",
    ("case", "closed"): "Case closed",
    ("case", "corrected"): "Graded anew by the quality expert",
}
OUTCOMES = {
    ("part", "pass"): "PASS",
    ("part", "reject"): "REJECT",
    ("part", "held"): "HOLD",
    ("part", "image_unreadable"): "warn",
    ("case", "tied"): "HOLD",
}


@dataclass(frozen=True, slots=True)
class Step:
    at: datetime
    title: str
    detail: str
    actor: str
    outcome: str
    after_ms: int

    @property
    def after(self) -> str:
        return f"{duration(self.after_ms)} after the trigger" if self.after_ms else "at the trigger"


def story(record: Record) -> list[Step]:
    steps = [_step_of(record, event) for event in record.events]
    for disposition in record.dispositions:
        delivery = record.deliveries.get(disposition.pk)
        if delivery is None:
            continue
        where = f"{disposition.outcome} by mailbox VIS_{delivery.mailbox.code}_, number {delivery.seq}"
        if delivery.sent_at:
            steps.append(_step(record, delivery.sent_at, "Sent to the PLC", where, "PLC gateway"))
        if delivery.state == DeliveryState.ACKED and delivery.acked_at:
            steps.append(
                _step(
                    record,
                    delivery.acked_at,
                    "Applied by the PLC",
                    where,
                    f"PLC {delivery.mailbox.code}",
                    "ok",
                )
            )
        elif delivery.state == DeliveryState.REFUSED:
            at = delivery.acked_at or delivery.sent_at or delivery.queued_at
            why = delivery.problem or delivery.ack_sentence
            steps.append(_step(record, at, "Refused by the PLC", f"{where}: {why}", "", "fault"))
        elif delivery.state == DeliveryState.WITHDRAWN:
            at = disposition.superseded_at or delivery.queued_at
            steps.append(_step(record, at, f"{disposition.outcome} never sent", delivery.problem, ""))
    return sorted(steps, key=lambda step: step.at)


def _step_of(record: Record, event: Event) -> Step:
    key = (event.subject_kind, event.verb)
    outcome = OUTCOMES.get(key, "")
    if key == ("part", "inspected"):
        outcome = str(event.details.get("decision") or "warn")
    elif key == ("case", "verdict"):
        outcome = str(event.details.get("verdict", ""))
    elif key in {("part", "corrected"), ("part", "reinstated")}:
        outcome = str(event.details["after"])
    title = TITLES.get(key, f"{event.subject_kind.capitalize()} {event.verb.replace('_', ' ')}")
    actor = event.actor_name if event.actor_kind != "system" else f"{event.actor_name} (automatic)"
    return _step(record, event.at, title, _detail(event), actor, outcome)


def _detail(event: Event) -> str:
    """The details of an event as a person reads them; what is not known here is left to the evidence."""
    details: dict[str, Any] = event.details
    words = []
    if "trigger_seq" in details:
        words.append(f"trigger {details['trigger_seq']}")
    if details.get("score") is not None:
        words.append(f"score {details['score']:.3f}, {details.get('decision')}")
    if details.get("verdict"):
        words.append(
            "to the expert" if details.get("is_escalation") else str(details["verdict"]).replace("_", " ")
        )
    if details.get("defect_type"):
        words.append(str(details["defect_type"]))
    if isinstance(details.get("reason"), int):
        words.append(_label(Reason, details["reason"]))
    if isinstance(details.get("source"), int):
        words.append(f"decided by: {_label(Source, details['source'])}")
    if details.get("before") and details.get("after"):
        words.append(f"{details['before']} → {details['after']}")
    if details.get("closed_by"):
        words.append(f"by {details['closed_by']}")
    words.extend(str(details[key]) for key in ("note", "problem") if details.get(key))
    return " · ".join(words)


def _label(choices: type[Reason] | type[Source], value: int) -> str:
    return str(choices(value).label) if value in choices.values else str(value)


def _step(record: Record, at: datetime, title: str, detail: str, actor: str, outcome: str = "") -> Step:
    after = round((at - record.part.triggered_at).total_seconds() * 1000)
    return Step(at, title, detail, actor, outcome, max(0, after))
