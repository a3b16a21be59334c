"""Every safety rule of the product, recomputed from the rows as if no constraint and no action had kept it.

While a line runs, the rows of one part are read one after the other and may move in between. So a finding counts
only if a second reading, a moment later, finds the same again.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from audit.models import Event
from inspection.models import Disposition, GoldenConfiguration, Part
from inspection.states import Decision, GoldenState, Outcome, PartState, Reason, Source
from plc.states import OPEN_DELIVERY_STATES, DeliveryState
from reports.queries.records import Record, records
from review.models import Case
from review.states import CaseKind, CaseState, ClosedBy, Grade, VerdictWord

CHUNK = 500
GRACE = timedelta(seconds=10)  # the sweeper's turn, twice over
SECOND_LOOK_S = 0.5

# Rules in the order in which the summary names them.
LOST, DOUBLED, UNSAFE_PASS = "lost", "doubled", "unsafe_pass"
WRONG_DISPOSITION, VERDICT_TWICE, HISTORY = "wrong_disposition", "verdict_twice", "history_disagrees"
RULES = (LOST, DOUBLED, UNSAFE_PASS, WRONG_DISPOSITION, VERDICT_TWICE, HISTORY)


@dataclass(frozen=True, slots=True)
class Finding:
    rule: str
    part_id: int
    sentence: str


@dataclass
class Summary:
    triggered: int = 0
    final: int = 0
    in_flight: int = 0
    missing_ack: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.findings

    def figures(self) -> dict[str, int]:
        broken = {rule: sum(finding.rule == rule for finding in self.findings) for rule in RULES}
        return {
            "triggered": self.triggered,
            "final": self.final,
            "in_flight": self.in_flight,
            **broken,
            "missing_ack": self.missing_ack,
        }


def checked_rows(*, ack_limit: timedelta) -> Summary:
    """Walk all parts once; parts with a finding are read again before the finding counts."""
    summary, suspects = Summary(), {}
    goldens = GoldenHashes()
    for chunk in _chunks():
        now = timezone.now()
        for record in chunk:
            _count(summary, record, now, ack_limit)
            if findings := list(findings_of(record, now, goldens)):
                suspects[record.part.pk] = findings
    summary.findings = [*_confirmed(suspects), *_vanished_parts(), *_golden_findings()]
    return summary


def _chunks() -> Iterator[list[Record]]:
    last = 0
    while chunk := list(Part.objects.select_related("line").filter(pk__gt=last).order_by("pk")[:CHUNK]):
        yield records(chunk, with_events=True)
        last = chunk[-1].pk


def _count(summary: Summary, record: Record, now: datetime, ack_limit: timedelta) -> None:
    summary.triggered += 1
    summary.final += len(record.finals) == 1 and record.part.state == PartState.DISPOSED
    summary.in_flight += not record.finals and is_visibly_in_flight(record, now)
    summary.missing_ack += any(
        row.decided_at < now - ack_limit and not _is_answered(record, row) for row in record.finals
    )


def _is_answered(record: Record, disposition: Disposition) -> bool:
    delivery = record.deliveries.get(disposition.pk)
    return delivery is not None and delivery.state not in OPEN_DELIVERY_STATES


def _confirmed(suspects: dict[int, list[Finding]]) -> Iterator[Finding]:
    if not suspects:
        return
    time.sleep(SECOND_LOOK_S)
    ids, goldens = list(suspects), GoldenHashes()
    for start in range(0, len(ids), CHUNK):
        parts = Part.objects.select_related("line").filter(pk__in=ids[start : start + CHUNK]).order_by("pk")
        for record in records(parts, with_events=True):
            rules_before = {finding.rule for finding in suspects[record.part.pk]}
            for finding in findings_of(record, timezone.now(), goldens):
                if finding.rule in rules_before:
                    yield finding


# --- the rules of one part --------------------------------------------------------------------------------
class GoldenHashes:
    """Whether a golden configuration still is what it was when it was locked; each is hashed once."""

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}

    def is_whole(self, golden: GoldenConfiguration) -> bool:
        if golden.pk not in self._known:
            self._known[golden.pk] = (
                golden.state != GoldenState.DRAFT and golden.content_sha256 == golden.computed_sha256()
            )
        return self._known[golden.pk]


def findings_of(record: Record, now: datetime, goldens: GoldenHashes) -> Iterator[Finding]:
    """Every broken rule of this part, as sentences."""
    checks: tuple[tuple[str, Callable[[], Iterator[str]]], ...] = (
        (LOST, lambda: _lost(record, now)),
        (DOUBLED, lambda: _doubled(record)),
        (UNSAFE_PASS, lambda: _unsafe_passes(record, goldens)),
        (WRONG_DISPOSITION, lambda: _wrong_dispositions(record)),
        (VERDICT_TWICE, lambda: _verdicts_twice(record)),
        (HISTORY, lambda: _history(record)),
    )
    for rule, check in checks:
        for sentence in check():
            yield Finding(rule, record.part.pk, f"Part {record.part.plc_part_id}: {sentence}")


def _lost(record: Record, now: datetime) -> Iterator[str]:
    if record.finals:
        return
    if record.part.state == PartState.DISPOSED:
        yield "it is disposed, but nothing says how."
    elif not is_visibly_in_flight(record, now):
        yield f"it is {record.part.state} and neither decided in time nor waiting for a person."


def is_visibly_in_flight(record: Record, now: datetime) -> bool:
    """On its way within its time, or held where a person can find it."""
    part, line = record.part, record.part.line
    match part.state:
        case PartState.TRIGGERED:
            return now < part.triggered_at + timedelta(milliseconds=line.capture_deadline_ms) + GRACE
        case PartState.CAPTURED | PartState.INSPECTED:
            since = part.captured_at or part.triggered_at
            return now < since + timedelta(milliseconds=line.inspect_deadline_ms) + GRACE
        case PartState.HELD:
            if record.case is not None:
                return record.case.state != CaseState.CLOSED
            return part.held_at is not None and now < part.held_at + GRACE
    return False


def _doubled(record: Record) -> Iterator[str]:
    if len(record.finals) > 1:
        yield f"it has {len(record.finals)} final dispositions."
    if sum(row.outcome == Outcome.HOLD for row in record.dispositions) > 1:
        yield "it was held twice."


def _unsafe_passes(record: Record, goldens: GoldenHashes) -> Iterator[str]:
    for disposition in record.dispositions:
        if disposition.outcome != Outcome.PASS:
            continue
        match disposition.source:
            case Source.MODEL:
                yield from _unsafe_model_pass(record, disposition, goldens)
            case Source.HUMAN | Source.CHANGED:
                if not _person_said(record, disposition, VerdictWord.PASS, Grade.GOOD):
                    yield "PASS in the name of a person, but no standing verdict or ruling says so."
            case _:
                yield "PASS without a score and without a person: silence is never PASS."


def _unsafe_model_pass(record: Record, disposition: Disposition, goldens: GoldenHashes) -> Iterator[str]:
    looks = [look for look in record.inspections if look.pk == disposition.inspection_id]
    if not looks:
        yield "PASS by the model without an inspection of this part."
        return
    score, golden = looks[0].score, looks[0].golden
    if not any(not image.problem for image in record.images):
        yield "PASS by the model without a readable image."
    if looks[0].decision != Decision.GOOD:
        yield f"PASS by the model, but its decision is {looks[0].decision or 'missing'}."
    if golden is None or golden.line_id != record.part.line_id:
        yield "PASS by the model without a golden configuration of its line."
        return
    if not goldens.is_whole(golden):
        yield f"PASS under {golden}, which is not locked or was changed after it was locked."
    if score is None or not math.isfinite(score):
        yield "PASS by the model without a finite score."
    elif not score < golden.grey_from:
        yield f"PASS with score {score:.4f}, which is not below {golden.grey_from:.4f}."


def _person_said(record: Record, disposition: Disposition, word: VerdictWord, grade: Grade) -> bool:
    if disposition.person_id is None:
        return False
    if disposition.reason in {Reason.RULING, Reason.CORRECTION}:
        return (disposition.person_id, str(grade)) in _expert_said(record)
    said = [
        verdict for verdict in record.standing_verdicts if record.case and verdict.case_id == record.case.pk
    ]
    # Of two who judged it both must have said so: else the expert's ruling was needed.
    return any(each.person_id == disposition.person_id for each in said) and all(
        each.verdict == word for each in said
    )


def _expert_said(record: Record) -> set[tuple[int | None, str]]:
    """(person, grade) of every ruling on the case that the part was held for, those before a correction too."""
    said: set[tuple[int | None, str]] = set()
    if (case := record.case) is None:
        return said
    if ruling := record.rulings.get(case.pk):
        said.add((ruling.person_id, ruling.grade))
    for event in _events_of(case, record):
        if event.verb == "corrected":
            former = event.details["former"]
            said |= {(event.person_id, event.details["after"]), (former["by"], former["grade"])}
    return said


def _wrong_dispositions(record: Record) -> Iterator[str]:
    for disposition in record.dispositions:
        is_hold, is_superseded = disposition.outcome == Outcome.HOLD, disposition.superseded_at is not None
        if is_hold and (disposition.is_final or is_superseded):
            yield "a HOLD that is final or superseded."
        elif not is_hold and disposition.is_final == is_superseded:
            yield f"a {disposition.outcome} that is {'both' if is_superseded else 'neither'} final and superseded."
        if disposition.outcome == Outcome.REJECT:
            yield from _wrong_reject(record, disposition)
    if record.part.state == PartState.HELD and record.hold is None:
        yield "it is held, but the PLC was never told to hold it."
    if record.finals and record.part.state != PartState.DISPOSED:
        yield f"it has a final disposition, but its state is {record.part.state}."
    yield from _wrongly_applied(record)


def _wrongly_applied(record: Record) -> Iterator[str]:
    """What the PLC carried out last is what stands, unless a correction is still on its way to it."""
    acked = {
        pk: delivery.acked_at
        for pk, delivery in record.deliveries.items()
        if delivery.state == DeliveryState.ACKED and delivery.acked_at
    }
    if any(row.applied_at != acked.get(row.pk) for row in record.dispositions):
        yield "what the PLC acknowledged is not what its dispositions say."
    applied = [row for row in record.dispositions if row.pk in acked and row.outcome != Outcome.HOLD]
    final = record.final
    if applied and final and _is_answered(record, final):
        last = max(applied, key=lambda row: acked[row.pk])
        if last != final:
            yield f"the PLC carried out {last.outcome} last, but {final.outcome} stands."


def _wrong_reject(record: Record, disposition: Disposition) -> Iterator[str]:
    match disposition.source:
        case Source.MODEL if not any(look.decision == Decision.BAD for look in record.inspections):
            yield "REJECT by the model, but its decision is not BAD."
        case Source.HUMAN | Source.CHANGED if not _person_said(
            record, disposition, VerdictWord.REJECT, Grade.BAD
        ):
            yield "REJECT in the name of a person, but no standing verdict or ruling says so."


def _verdicts_twice(record: Record) -> Iterator[str]:
    for case in record.cases:
        people = [said.person_id for said in record.standing_verdicts if said.case_id == case.pk]
        if len(set(people)) < len(people):
            yield f"{len(people)} verdicts stand on its case, two of them of the same person."
        closings = [e for e in _events_of(case, record) if e.after == CaseState.CLOSED and e.before]
        if len(closings) > 1:
            yield f"its case was closed {len(closings)} times."
    disposals = [
        e for e in record.events if e.subject_kind == "part" and e.after == PartState.DISPOSED and e.before
    ]
    if len(disposals) > 1:
        yield f"it was disposed {len(disposals)} times."
    held_for = record.case
    if held_for and held_for.state == CaseState.CLOSED and held_for.closed_by == ClosedBy.VERDICT:
        carried_out = [row for row in record.dispositions if row.reason == Reason.VERDICT]
        # Past its deadline the fail-safe has disposed the part, and the verdict is for the record only.
        if len(carried_out) != (0 if held_for.late_at else 1):
            yield f"its case is closed by a verdict that was carried out {len(carried_out)} times."


def _history(record: Record) -> Iterator[str]:
    part = record.part
    of_part = [event for event in record.events if event.subject_kind == "part"]
    if sum(event.verb == "triggered" for event in of_part) != 1:
        yield "the audit trail does not tell its trigger exactly once."
    corrections = sum(row.source == Source.CHANGED for row in record.dispositions)
    if sum(event.verb == "corrected" for event in of_part) != corrections:
        yield f"it was corrected {corrections} times, but the audit trail tells otherwise."
    yield from walk(of_part, start=PartState.TRIGGERED, state=part.state, version=part.version)
    for case in record.cases:
        yield from walk(
            _events_of(case, record),
            start=CaseState.TIED if case.kind == CaseKind.FLAGGED else CaseState.WAITING,
            state=case.state,
            version=case.version,
            who="its case",
        )


def _events_of(case: Case, record: Record) -> list[Event]:
    return [event for event in record.events if event.subject_kind == "case" and event.subject_id == case.pk]


def walk(events: list[Event], *, start: str, state: str, version: int, who: str = "it") -> Iterator[str]:
    """Follow the moves that the audit trail tells; they must lead, without a jump, to the state in the row."""
    here, moves = str(start), [event for event in events if event.before]
    for event in moves:
        if event.before != here:
            yield f"the audit trail jumps: {who} was {here}, event {event.pk} starts from {event.before}."
        here = event.after
    if here != state:
        yield f"{who} is {state}, but by the audit trail it is {here}."
    if len(moves) != version:
        yield f"{who} has moved {version} times, but the audit trail tells of {len(moves)}."


# --- rules of the whole -----------------------------------------------------------------------------------
def _vanished_parts() -> Iterator[Finding]:
    gone = Event.objects.filter(subject_kind="part", verb="triggered").exclude(
        subject_id__in=Part.objects.values("pk")
    )
    for event in gone:
        yield Finding(
            LOST,
            event.subject_id,
            f"Part {event.subject_id} was triggered (event {event.pk}) and its row is gone.",
        )


def _golden_findings() -> Iterator[Finding]:
    """Locked configurations are what they were; no line has two active ones."""
    hashes, active_lines = GoldenHashes(), set()
    for golden in (
        GoldenConfiguration.objects.exclude(state=GoldenState.DRAFT).select_related("line").order_by("id")
    ):
        if not hashes.is_whole(golden):
            yield Finding(HISTORY, 0, f"{golden} was changed after it was locked.")
        if golden.state == GoldenState.ACTIVE:
            if golden.line_id in active_lines:
                yield Finding(HISTORY, 0, f"Line {golden.line.code} has two active golden configurations.")
            active_lines.add(golden.line_id)
