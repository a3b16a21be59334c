"""What the PLC did must be what we decided, once."""

import json

import pytest

from reports.queries.plc_log import compared
from review.states import VerdictWord
from tests import factories
from tests.reports.rows import say

pytestmark = pytest.mark.django_db


def disposition(
    part, result: int, *, code: int = 1, final: int = 1, mailbox: str = "S01", seq: int = 1
) -> str:
    return json.dumps(
        {
            "event": "disposition",
            "at": 1.0,
            "mailbox": mailbox,
            "seq": seq,
            "part_id": getattr(part, "plc_part_id", part),
            "trig_seq": 1,
            "result": result,
            "source": 1,
            "final": final,
            "code": code,
        }
    )


def routed(part, lane: str) -> str:
    return json.dumps({"event": "routed", "part_id": part.plc_part_id, "trig_seq": 1, "routed_to": lane})


@pytest.fixture
def passed():
    return factories.decided_part(factories.station(), 0.1)


def test_a_log_that_agrees_has_no_problem(passed):
    late = factories.held_part()
    say(late, VerdictWord.REJECT)
    found = compared(
        [
            json.dumps({"event": "boot", "boot": 1}),
            disposition(passed, 1),
            routed(passed, "PASS"),
            disposition(late, 3, final=0),
            routed(late, "HOLD"),
            disposition(late, 2, mailbox="H01"),
            "",
        ]
    )
    assert (found.applied, found.refused, found.problems) == (3, 0, [])


def test_a_refused_disposition_was_not_applied(passed):
    found = compared([disposition(passed, 2, code=4)])
    assert (found.applied, found.refused, found.problems) == (0, 1, [])


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (lambda part: [disposition(part, 2)], "the PLC applied REJECT, which we never decided."),
        (lambda _: [disposition("X-1", 1)], "the PLC applied PASS, which we never decided."),
        (lambda part: [disposition(part, 9)], "the PLC applied the invalid result 9."),
        (lambda part: [disposition(part, 1, final=0)], "the PLC took PASS for not final."),
        (lambda part: [disposition(part, 1), disposition(part, 1, seq=2)], "the PLC applied PASS twice."),
    ],
)
def test_a_difference_is_named(passed, lines, problem):
    assert [sentence.split(": ", 1)[1] for sentence in compared(lines(passed)).problems] == [problem]


def test_a_rejected_part_in_the_pass_lane_is_named():
    part = factories.decided_part(factories.station(), 0.9)
    assert compared([routed(part, "PASS")]).problems == [
        f"Part {part.plc_part_id}: it left by the pass lane, but we never decided PASS."
    ]


def test_a_worse_lane_than_decided_is_the_gates_fail_safe(passed):
    assert compared([routed(passed, "REJECT")]).problems == []


def test_a_log_that_cannot_be_read_stops_with_a_sentence():
    with pytest.raises(ValueError, match="Line 1 of the PLC log is not JSON"):
        compared(["{"])
