"""What the training and golden pages show."""

from datetime import UTC, datetime

from audit.models import Event
from inspection.states import GoldenState
from training import pages


def card(number: int, state: GoldenState, *, line: str = "Line 1", day: int = 1) -> dict:
    return {
        "id": number,
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

    (active,) = pages.deciding(cards, {})

    assert active["before"]["name"] == "Golden configuration 2"


def test_the_first_golden_configuration_of_a_line_has_none_before_it():
    (active,) = pages.deciding([card(1, GoldenState.ACTIVE), card(2, GoldenState.LOCKED)], {})

    assert active["before"] is None


def test_the_inspect_workers_word_stands_beside_the_active_one():
    ready = {"runtime": "ONNX Runtime on cpu", "ms": 9.04, "reference_count": 8}
    words = {
        1: Event(verb="warmed", details=ready),
        2: Event(verb="refused", details={"problem": "Its sha256 differs."}),
    }
    cards = [card(number, GoldenState.ACTIVE, line=f"Line {number}") for number in (1, 2, 3)]

    warm, refused, silent = (each["worker"] for each in pages.deciding(cards, words))

    assert (warm["outcome"], warm["text"][:42]) == ("ok", "Warm in ONNX Runtime on cpu, 9.0 ms a look")
    assert refused == {"outcome": "fault", "text": "Refused: Its sha256 differs."}
    assert silent["outcome"] == "warn"


def test_a_rate_of_nothing_has_no_share():
    assert pages.rate({"k": 0, "n": 0})["share"] is None
    assert pages.rate({"k": 1, "n": 4})["share"] == 0.25


def test_a_candidate_that_did_worse_is_said_in_words():
    metrics = {
        "auroc_before": 0.9,
        "auroc_after": 0.85,
        "underkill_before": {"k": 0, "n": 20},
        "underkill_after": {"k": 2, "n": 20},
        "overkill_before": {"k": 3, "n": 80},
        "overkill_after": {"k": 3, "n": 80},
    }
    assert pages.worse_than_before(metrics) == [
        "it separates good from bad less well (AUROC 0.900 to 0.850)",
        "it passes more bad parts (0 to 2 of 20)",
    ]


def test_without_a_model_before_nothing_is_worse():
    assert pages.worse_than_before({"auroc_before": None, "auroc_after": 0.8}) == []
