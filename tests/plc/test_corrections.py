"""The quality expert's correction on its way to the real simulator: the PLC hears of one word, or says that it is late."""

import json

import pytest
from django.utils import timezone

from audit.models import Event
from inspection.actions import CorrectionError, correct, dispose
from inspection.models import Disposition, Part
from inspection.states import Outcome, Reason, Source
from plc import actions, queries
from plc.models import Mailbox
from plc.simulator.faults import Fault
from reports.queries.plc_log import compared
from reports.queries.records import records
from tests.factories import TESTER, expert, inspector
from tests.plc.gateway_floor import GREY_SCORE, Floor, all_answered, states, turn_for, turn_until
from tests.plc.test_gateway import let_the_lease_end

pytestmark = pytest.mark.django_db


@pytest.fixture
def floor():
    floor = Floor.start()
    yield floor
    floor.simulator.stop()


@pytest.fixture
def shift(floor):
    shift = floor.shift()
    yield shift
    shift.close()


def held(floor: Floor, shift, count: int = 1) -> list[Part]:
    """Parts in the hold lane, which the PLC knows."""
    parts = [floor.part(GREY_SCORE) for _ in range(count)]
    turn_until(shift, lambda: len(states()) == count and all_answered())
    return parts


def judge(part: Part, outcome: Outcome) -> None:
    dispose(
        part=part, outcome=outcome, source=Source.HUMAN, reason=Reason.VERDICT, person=inspector(), actor=TESTER
    )  # fmt: skip


def change(part: Part, outcome: Outcome) -> Disposition:
    return correct(part=part, outcome=outcome, person=expert(), note="seen again", actor=TESTER)


def answered(count: int):
    return lambda: len(states()) == count and all_answered()


def told(floor: Floor) -> list[tuple]:
    """What the PLC was told through the late mailbox: number, part, result, source, final, its answer."""
    return [
        (line["seq"], line["part_id"], line["result"], line["source"], line["final"], line["code"])
        for line in floor.dispositions_seen(floor.station.hold_mailbox)
    ]


def late() -> list[tuple]:
    return [row for row in states() if row[0] == "H"]


def stands(part: Part) -> tuple[str, int]:
    """Outcome and source of the one final disposition."""
    final = Disposition.objects.get(part=part, is_final=True)
    return final.outcome, final.source


def refusals(floor: Floor) -> list[queries.Alarm]:
    return [alarm for alarm in queries.open_alarms(floor.station.line, timezone.now()) if alarm.delivery]


def wrong_with(floor: Floor, part: Part) -> list[str]:
    """The simulator's log is the judge, and the rows must tell the same."""
    found = compared(json.dumps(line) for line in floor.simulator.journal.lines).problems
    record = records([part], with_events=True)[0]
    acked = {pk: row.acked_at for pk, row in record.deliveries.items() if row.state == "acked"}
    if any(row.applied_at != acked.get(row.pk) for row in record.dispositions):
        found.append("applied_at is not the ack's")
    return found


# --- before it was sent ------------------------------------------------------------------------------------
def test_a_verdict_corrected_before_the_gateway_looked_is_never_sent(floor, shift):
    (part,) = held(floor, shift)
    judge(part, Outcome.PASS)
    change(part, Outcome.REJECT)
    turn_until(shift, answered(3))
    assert late() == [("H", None, "withdrawn", None), ("H", 1, "acked", 1)]
    assert told(floor) == [(1, part.plc_part_id, 2, 4, 1, 1)]
    assert stands(part) == ("REJECT", Source.CHANGED)
    assert wrong_with(floor, part) == []


def test_a_correction_takes_number_and_place_of_the_verdict_that_waits(floor, shift):
    first, second, third = held(floor, shift, 3)
    floor.simulator.fault(Fault.FREEZE, seconds=0.5)
    for part in (first, second, third):
        judge(part, Outcome.PASS)
        turn_for(shift, 0.05)
    assert [row[2] for row in late()] == ["sent", "queued", "queued"]
    change(second, Outcome.REJECT)
    turn_until(shift, answered(7))
    assert [(line[0], line[1], line[2]) for line in told(floor)] == [
        (1, first.plc_part_id, 1),
        (2, second.plc_part_id, 2),
        (3, third.plc_part_id, 1),
    ]
    assert Mailbox.objects.get(kind="late").next_seq == 4
    assert [wrong_with(floor, part) for part in (first, second, third)] == [[], [], []]


def test_corrected_twice_before_its_turn_only_the_last_word_is_sent(floor, shift):
    first, part = held(floor, shift, 2)
    floor.simulator.fault(Fault.FREEZE, seconds=0.5)
    judge(first, Outcome.PASS)
    judge(part, Outcome.PASS)
    turn_for(shift, 0.05)
    change(part, Outcome.REJECT)
    turn_for(shift, 0.05)
    change(part, Outcome.PASS)
    turn_until(shift, answered(6))
    assert [line[:4] for line in told(floor)] == [
        (1, first.plc_part_id, 1, 2),
        (2, part.plc_part_id, 1, 4),
    ]
    assert wrong_with(floor, part) == []


def test_after_a_restart_of_the_plc_the_correction_is_sent_and_not_what_it_corrects(floor, shift):
    first, part = held(floor, shift, 2)
    floor.simulator.fault(Fault.FREEZE, seconds=0.3)
    judge(first, Outcome.PASS)
    judge(part, Outcome.PASS)
    turn_for(shift, 0.05)
    change(part, Outcome.REJECT)
    floor.simulator.fault(Fault.RESTART)
    turn_until(shift, answered(5))
    assert [line[1:5] for line in told(floor)] == [
        (first.plc_part_id, 1, 2, 1),
        (part.plc_part_id, 2, 4, 1),
    ]
    assert wrong_with(floor, part) == []


# --- on its way --------------------------------------------------------------------------------------------
def in_flight(floor: Floor, shift, outcome: Outcome) -> Part:
    """A part whose verdict is written to the PLC while the PLC's program stands still."""
    (part,) = held(floor, shift)
    floor.simulator.fault(Fault.FREEZE, seconds=0.4)
    judge(part, outcome)
    turn_until(shift, lambda: [row[2] for row in late()] == ["sent"])
    turn_for(shift, 0.05)
    return part


def test_a_verdict_on_its_way_is_finished_first_and_a_correction_that_comes_late_is_undone(floor, shift):
    part = in_flight(floor, shift, Outcome.PASS)
    change(part, Outcome.REJECT)
    turn_until(shift, answered(3))
    assert told(floor) == [(1, part.plc_part_id, 1, 2, 1, 1), (2, part.plc_part_id, 2, 4, 1, 4)]
    assert late() == [("H", 1, "acked", 1), ("H", 2, "refused", 4)]
    assert stands(part) == ("PASS", Source.HUMAN)
    assert wrong_with(floor, part) == []
    (event,) = Event.objects.filter(subject_kind="part", verb="reinstated")
    assert (event.details["before"], event.details["after"]) == ("REJECT", "PASS")
    (alarm,) = refusals(floor)
    assert alarm.sentence == (
        f"{part.plc_part_id} was to be corrected to REJECT: too late, the part had already been routed. "
        "PASS stands again: the quality expert calls a part bad that was passed. Find it."
    )


def test_where_the_plc_refuses_the_verdict_on_its_way_the_correction_is_carried_out(floor, shift):
    part = in_flight(floor, shift, Outcome.PASS)
    mode = f"VIS_{floor.station.hold_mailbox}_Mode"
    floor.simulator.tags.set_number(mode, 2)  # the operator has switched to manual
    change(part, Outcome.REJECT)
    turn_until(shift, lambda: late()[0][2] == "refused")
    floor.simulator.tags.set_number(mode, 1)
    turn_until(shift, answered(3))
    assert [(line[2], line[5]) for line in told(floor)] == [(1, 7), (2, 1)]
    assert stands(part) == ("REJECT", Source.CHANGED)
    assert wrong_with(floor, part) == []


def test_the_next_gateway_finishes_a_corrected_verdict_with_the_same_words(floor):
    """Killed after it had sent: the row is no longer final, and yet the PLC must read Final=1 and the same number."""
    first = floor.shift("first")
    part = in_flight(floor, first, Outcome.PASS)
    change(part, Outcome.REJECT)
    let_the_lease_end(floor)
    first._runner.close()
    second = floor.shift("second")
    turn_until(second, answered(3))
    second.close()
    assert told(floor)[0] == (1, part.plc_part_id, 1, 2, 1, 1)
    assert stands(part) == ("PASS", Source.HUMAN)
    assert wrong_with(floor, part) == []


# --- after the PLC's answer --------------------------------------------------------------------------------
def test_what_the_plc_has_carried_out_is_not_corrected(floor, shift):
    (part,) = held(floor, shift)
    judge(part, Outcome.PASS)
    turn_until(shift, answered(2))
    with pytest.raises(CorrectionError, match="The PLC has carried it out"):
        change(part, Outcome.REJECT)
    assert Disposition.objects.get(part=part, is_final=True).applied_at is not None
    turn_for(shift, 0.1)
    assert stands(part) == ("PASS", Source.HUMAN)
    assert len(told(floor)) == 1


@pytest.mark.parametrize(
    ("said", "corrected", "standing"),
    [
        (Outcome.REJECT, Outcome.PASS, ("REJECT", Source.HUMAN)),
        # Nobody may take a part for passed of which the PLC never heard it.
        (Outcome.PASS, Outcome.REJECT, ("REJECT", Source.CHANGED)),
    ],
)
def test_of_a_part_that_left_the_lane_by_itself_the_reject_stands(floor, shift, said, corrected, standing):
    (part,) = held(floor, shift)
    judge(part, said)
    change(part, corrected)
    (on_the_belt,) = floor.simulator.programs[floor.station.code].parts
    on_the_belt.left = True  # somebody took it out of the lane
    turn_until(shift, answered(3))
    assert late() == [("H", None, "withdrawn", None), ("H", 1, "refused", 4)]
    assert stands(part) == standing
    assert wrong_with(floor, part) == []
    (alarm,) = refusals(floor)
    assert alarm.sentence.startswith(f"{part.plc_part_id} was to be corrected to {corrected}: too late")
    actions.note_refusal_seen(delivery=alarm.delivery, actor=TESTER)
    assert refusals(floor) == []
