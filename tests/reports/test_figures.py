"""A rate is never shown without its n and its bound."""

import math

import pytest

from metrics.rates import Rate
from reports.figures import NO_BREAK, RateFigure, SpreadFigure, duration, percent


def plain(text: str) -> str:
    return text.replace(NO_BREAK, " ")


def figure(k: int, n: int) -> RateFigure:
    return RateFigure(
        "underkill", "Underkill", Rate.of(k, n), "bad parts passed", "No bad part with known truth."
    )


def test_a_rate_says_its_count_and_its_bound():
    # Clopper-Pearson for 11 of 4,117: 0.2672 % [0.1335, 0.4776]
    assert plain(figure(11, 4117).text) == "0.27 %"
    assert plain(figure(11, 4117).bound) == "11 of 4117 bad parts passed; 95 % sure between 0.13 % and 0.48 %"
    assert plain(figure(11, 4117).short_bound) == "11 of 4117 · 95 %: 0.13 % to 0.48 %"


def test_a_rate_of_nothing_is_said_in_words():
    assert figure(0, 0).text == "not known"
    assert figure(0, 0).bound == figure(0, 0).short_bound == "No bad part with known truth."
    assert figure(0, 0).as_json() == {
        "k": 0,
        "n": 0,
        "rate": None,
        "lower_95": None,
        "upper_95": None,
        "says": "not known: No bad part with known truth.",
    }


def test_no_event_in_many_parts_still_has_an_upper_bound():
    assert figure(0, 883).as_json()["upper_95"] == pytest.approx(0.004169, abs=1e-6)
    assert plain(figure(0, 883).text) == "0.0 %"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.0 %"), (0.00267, "0.27 %"), (0.5, "50.0 %"), (1.0, "100.0 %"), (math.nan, "not known")],
)
def test_percent_keeps_the_digits_that_matter(share, text):
    assert plain(percent(share)) == text


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0 ms"), (87.4, "87 ms"), (1500, "1.5 s"), (99_000, "99.0 s"), (600_000, "10.0 min")]
)
def test_durations_are_read_in_the_unit_that_fits(ms, text):
    assert plain(duration(ms)) == text


def test_quantiles_come_with_their_n():
    spread = SpreadFigure.of("ack", "Ack", [10.0, 20.0, 30.0], high=99, nothing="None.")
    assert (spread.values, spread.n) == ((20.0, 29.8), 3)
    assert plain(spread.bound) == "median of 3; 99 % within 30 ms"


def test_quantiles_of_nothing_are_said_in_words():
    spread = SpreadFigure.of("ack", "Ack", [], high=99, nothing="The PLC has acknowledged nothing.")
    assert (spread.text, spread.bound) == ("not known", "The PLC has acknowledged nothing.")
    assert spread.as_json() == {"n": 0, "p50_ms": None, "p99_ms": None}
