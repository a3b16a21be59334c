"""What the training and golden pages show."""

from datetime import UTC, datetime

from inspection.states import GoldenState
from training import pages


def card(number: int, state: GoldenState, *, line: str = "Line 1", day: int = 1) -> dict:
    return {
        "name": f"Golden configuration {number}",
        "line": line,
        "state": state,
        "activated_at": datetime(2026, 11, day, tzinfo=UTC),
    }


def test_the_active_one_stands_beside_the_one_that_decided_before_it_on_its_line():
    cards = [
        card(3, GoldenState.ACTIVE, day=5),
        card(2, GoldenState.RETIRED, day=4),
        card(1, GoldenState.RETIRED, day=1),
        card(7, GoldenState.RETIRED, line="Line 2", day=9),
    ]

    (active,) = pages.deciding(cards)

    assert active["before"]["name"] == "Golden configuration 2"


def test_the_first_golden_configuration_of_a_line_has_none_before_it():
    (active,) = pages.deciding([card(1, GoldenState.ACTIVE), card(2, GoldenState.LOCKED)])

    assert active["before"] is None


def test_a_rate_of_nothing_has_no_share():
    assert pages.rate({"k": 0, "n": 0})["share"] is None
    assert pages.rate({"k": 1, "n": 4})["share"] == 0.25
