"""The PLC's own log against our rows: what the floor did must be what we decided, once."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from inspection.models import Disposition
from inspection.states import Outcome
from plc.states import OPEN_DELIVERY_STATES

APPLIED = 1
RESULTS = {1: Outcome.PASS, 2: Outcome.REJECT, 3: Outcome.HOLD}
CHUNK = 500


@dataclass
class Comparison:
    applied: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class _Decided:
    """How often we decided what of one part; `stands` is the final one, empty until the PLC has answered it."""

    times: Counter[str] = field(default_factory=Counter)
    stands: str = ""


def compared(lines: Iterable[str]) -> Comparison:
    """Read the log (one JSON object a line) and compare every disposition that the PLC applied, and every routing."""
    events = list(_parsed(lines))
    dispositions = [event for event in events if event.get("event") == "disposition"]
    routings = [event for event in events if event.get("event") == "routed"]
    ours = _ours({str(event["part_id"]) for event in (*dispositions, *routings)})
    comparison, seen, last = Comparison(), Counter[tuple[str, Outcome | None]](), dict[str, Outcome]()
    for event in dispositions:
        if event["code"] != APPLIED:
            comparison.refused += 1
            continue
        comparison.applied += 1
        part_id, outcome = str(event["part_id"]), RESULTS.get(event["result"])
        decided = ours.get(part_id, _Decided())
        name = f"Part {part_id} ({event['mailbox']} seq {event['seq']})"
        if outcome is None:
            comparison.problems.append(f"{name}: the PLC applied the invalid result {event['result']}.")
        elif outcome not in decided.times:
            comparison.problems.append(f"{name}: the PLC applied {outcome}, which we never decided.")
        elif bool(event["final"]) != (outcome != Outcome.HOLD):
            comparison.problems.append(
                f"{name}: the PLC took {outcome} for {'final' if event['final'] else 'not final'}."
            )
        elif outcome != Outcome.HOLD:
            last[part_id] = outcome
        seen[part_id, outcome] += 1
        if outcome and seen[part_id, outcome] > max(1, decided.times[outcome]):
            comparison.problems.append(f"{name}: the PLC applied {outcome} twice.")
    for part_id, outcome in last.items():
        if (stands := ours[part_id].stands) and stands != outcome:
            comparison.problems.append(
                f"Part {part_id}: the PLC applied {outcome} last, but {stands} stands."
            )
    comparison.problems.extend(_wrong_routes(routings, ours))
    return comparison


def _parsed(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except json.JSONDecodeError as problem:
            raise ValueError(f"Line {number} of the PLC log is not JSON: {problem}.") from problem
        if isinstance(event, dict):
            yield event


def _ours(part_ids: set[str]) -> dict[str, _Decided]:
    known: dict[str, _Decided] = {}
    ids = sorted(part_ids)
    for start in range(0, len(ids), CHUNK):
        rows = Disposition.objects.filter(part__plc_part_id__in=ids[start : start + CHUNK])
        for part_id, outcome, is_final, state in rows.values_list(
            "part__plc_part_id", "outcome", "is_final", "delivery__state"
        ):
            decided = known.setdefault(part_id, _Decided())
            decided.times[outcome] += 1
            if is_final and state is not None and state not in OPEN_DELIVERY_STATES:
                decided.stands = outcome
    return known


def _wrong_routes(routings: list[dict[str, Any]], ours: dict[str, _Decided]) -> Iterator[str]:
    """A part may leave by a worse lane than we decided (the gate fails safe), never by a better one."""
    for event in routings:
        part_id = str(event["part_id"])
        if str(event["routed_to"]).upper() != Outcome.PASS:
            continue
        decided = ours.get(part_id, _Decided())
        if Outcome.PASS not in decided.times:
            yield f"Part {part_id}: it left by the pass lane, but we never decided PASS."
        elif decided.stands == Outcome.REJECT:
            yield f"Part {part_id}: it left by the pass lane, but REJECT stands."
