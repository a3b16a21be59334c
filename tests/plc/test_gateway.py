"""The gateway against the real simulator over loopback: every disposition reaches the PLC's program once."""

import pytest

from inspection.actions import dispose
from inspection.states import Outcome, Reason, Source
from tests.factories import TESTER, inspector
from tests.plc.gateway_floor import BAD_SCORE, GREY_SCORE, PASS_SCORE, Floor, all_answered, states, turn_until

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


def delivered(count: int):
    return lambda: len(states()) == count and all_answered()


def test_pass_reject_and_hold_reach_the_plc_and_are_acked(floor, shift):
    for score in (PASS_SCORE, BAD_SCORE, GREY_SCORE):
        floor.part(score)
    turn_until(shift, delivered(3))
    assert states() == [("S", 1, "acked", 1), ("S", 2, "acked", 1), ("S", 3, "acked", 1)]
    assert [(line["result"], line["final"]) for line in floor.dispositions_seen()] == [(1, 1), (2, 1), (3, 0)]


def test_the_verdict_of_a_held_part_goes_through_the_late_mailbox_with_final_set(floor, shift):
    part = floor.part(GREY_SCORE)
    turn_until(shift, delivered(1))
    dispose(
        part=part,
        outcome=Outcome.PASS,
        source=Source.HUMAN,
        reason=Reason.VERDICT,
        person=inspector(),
        actor=TESTER,
    )
    turn_until(shift, delivered(2))
    assert states() == [("S", 1, "acked", 1), ("H", 1, "acked", 1)]
    late = floor.dispositions_seen(floor.station.hold_mailbox)
    assert [(line["part_id"], line["result"], line["source"], line["final"]) for line in late] == [
        (part.plc_part_id, 1, 2, 1)
    ]
