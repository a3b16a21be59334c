"""What the training and golden pages show."""

from datetime import UTC, datetime

import pytest

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


SQUARE = {"colour": "RGB", "input_px": [224, 224], "resize": "area, whole image, aspect not kept"}
TILES = {"colour": "RGB", "tile_px": 256, "overlap_px": 64, "scale": 1.0}


@pytest.mark.parametrize(
    ("preprocessing", "words"),
    [
        ({}, "none"),
        (SQUARE, "224 x 224 px, RGB, area, whole image, aspect not kept"),
        (TILES, "tiles of 256 px, 64 px shared, RGB"),
        (
            {"anomaly": {"family": "patchcore", **SQUARE}, "unet": {"family": "unet", **TILES}},
            (
                "PatchCore: 224 x 224 px, RGB, area, whole image, aspect not kept; "
                "U-Net: tiles of 256 px, 64 px shared, RGB"
            ),
        ),
        (
            {"align": {"by": None}, "region": None, "crop": [1, 2, 30, 40], "model": TILES},
            "aligned to a reference, cut to 30 x 40 px; tiles of 256 px, 64 px shared, RGB",
        ),
    ],
)
def test_what_is_done_to_a_picture_is_said_in_words(preprocessing, words):
    assert pages.preprocessing_words(preprocessing) == words


def test_a_reliability_plot_has_its_dots_between_the_axes_and_its_counts():
    bins = [{"probability": 0.5, "share": 0.25, "lower": 0.0, "upper": 1.0, "k": 1, "n": 4}]

    before, after = pages.reliability_plots({"reliability_before": bins, "reliability_after": bins * 2})

    assert (before["title"], after["title"]) == ("Active when the run began", "Candidate")
    assert (after["n"], after["bad"]) == (8, 2)
    [dot] = before["bins"]
    assert (dot["x"], dot["y"], dot["top"], dot["bottom"]) == ("118.0", "119.0", "8.0", "156.0")
    assert (dot["said"], dot["was"], dot["bounds"]) == ("50%", "25%", "0% to 100%")


def test_without_both_kinds_of_parts_there_is_no_plot():
    assert pages.reliability_plots({"reliability_before": [], "auroc_after": 0.9}) == []
