"""Run lengths by hand, by the paper's approximation and by running the chart."""

import math

import numpy as np
import pytest

from metrics.cusum import design_cusum, mean_run_length, run_cusum


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 1.0])
def test_run_lengths_known_in_closed_form(rate):
    assert mean_run_length(rate, climb=4, limit=4) == pytest.approx(
        1 / rate
    )  # the first error sounds the alarm
    assert mean_run_length(rate, climb=1, limit=2) == pytest.approx(
        (1 + rate) / rate**2
    )  # two errors in a row


@pytest.mark.parametrize("limit", [1, 2, 5, 30])
def test_at_even_odds_the_walk_needs_limit_times_limit_plus_one_probes(limit):
    assert mean_run_length(0.5, climb=1, limit=limit) == pytest.approx(limit * (limit + 1))


def test_who_never_errs_never_raises_the_alarm():
    assert mean_run_length(0.0, climb=9, limit=20) == math.inf


def paper_run_length(accepted, worse, steps):
    """Reynolds & Stoumbos 1999: the corrected diffusion approximation of the mean number until the signal."""
    r1 = -math.log((1 - worse) / (1 - accepted))
    r2 = math.log(worse * (1 - accepted) / (accepted * (1 - worse)))
    log = math.log(accepted)
    correction = 0.410 - 0.0842 * log - 0.0391 * log**3 - 0.00376 * log**4 - 0.000008 * log**7
    reach = (steps * r1 / r2 + correction * math.sqrt(accepted * (1 - accepted))) * r2
    return (math.exp(reach) - reach - 1) / abs(r2 * accepted - r1)


@pytest.mark.parametrize(
    ("accepted", "worse", "m", "steps"),
    [  # worse rates whose reference value is 1/m
        (0.01, 0.0500, 40, 160), (0.01, 0.0201, 69, 327), (0.02, 0.0992, 20, 60),
        (0.05, 0.1717, 10, 30), (0.10, 0.2517, 6, 20), (0.20, 0.4877, 3, 12),
    ],
)  # fmt: skip
def test_the_exact_run_length_is_that_of_the_papers_approximation_within_2_percent(accepted, worse, m, steps):
    exact = mean_run_length(accepted, climb=m - 1, limit=steps)
    assert exact == pytest.approx(paper_run_length(accepted, worse, steps), rel=0.02)


@pytest.mark.parametrize(
    ("accepted", "worse", "wanted"),
    [(0.02, 0.06, 500), (0.05, 0.15, 200), (0.1, 0.3, 200), (0.01, 0.05, 1000)],
)
def test_the_limit_is_the_lowest_that_keeps_false_alarms_rare(accepted, worse, wanted):
    chart = design_cusum(accepted_rate=accepted, worse_rate=worse, false_alarm_run=wanted)
    assert (
        chart.false_alarm_run >= wanted > mean_run_length(accepted, climb=chart.climb, limit=chart.limit - 1)
    )
    assert chart.detection_run < chart.false_alarm_run / 5
    assert chart.detection_run == mean_run_length(worse, climb=chart.climb, limit=chart.limit)


def test_an_inspector_who_triples_their_errors_is_noticed_after_about_65_probes():
    chart = design_cusum(accepted_rate=0.02, worse_rate=0.06, false_alarm_run=500)
    assert (chart.climb, chart.limit) == (26, 52)
    assert (round(chart.false_alarm_run), round(chart.detection_run)) == (534, 65)


def test_running_the_chart_takes_as_long_as_computed():
    chart = design_cusum(accepted_rate=0.1, worse_rate=0.3, false_alarm_run=200)
    erred = np.random.default_rng(3).random(40_000) < 0.3
    alarms = len(run_cusum(chart, erred.tolist()).alarms)
    assert 40_000 / alarms == pytest.approx(chart.detection_run, rel=0.05)


def test_the_chart_starts_again_after_an_alarm():
    chart = design_cusum(accepted_rate=0.02, worse_rate=0.06, false_alarm_run=500)
    path = run_cusum(chart, [True, False, True, True, False, True])
    assert path.steps == (26, 25, 51, 77, 0, 26)
    assert (path.alarms, path.now) == ((3,), 26)


def test_a_chart_goes_on_where_it_stopped():
    chart = design_cusum(accepted_rate=0.05, worse_rate=0.15, false_alarm_run=200)
    erred = [False, True, False, False, True, True, False, True]
    first = run_cusum(chart, erred[:5])
    second = run_cusum(chart, erred[5:], start=first.now)
    whole = run_cusum(chart, erred)
    assert first.steps + second.steps == whole.steps
    assert second.now == whole.now


@pytest.mark.parametrize(
    ("accepted", "worse", "wanted", "said"),
    [
        (0.0, 0.1, 100, "Rates must be"), (0.2, 0.1, 100, "Rates must be"), (0.1, 1.0, 100, "Rates must be"),
        (math.nan, 0.1, 100, "Rates must be"), (0.01, 0.1, 0.5, "from 1 on"), (0.01, 0.1, math.nan, "from 1 on"),
        (0.6, 0.9, 100, "too frequent"), (0.0001, 0.001, 100, "too rare"), (0.02, 0.0201, 1e9, "No limit"),
    ],
)  # fmt: skip
def test_a_chart_that_cannot_be_is_refused(accepted, worse, wanted, said):
    with pytest.raises(ValueError, match=said):
        design_cusum(accepted_rate=accepted, worse_rate=worse, false_alarm_run=wanted)


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"0\.\.1"):
        mean_run_length(1.1, climb=1, limit=1)
    with pytest.raises(ValueError, match="whole steps"):
        mean_run_length(0.1, climb=0, limit=1)
    chart = design_cusum(accepted_rate=0.02, worse_rate=0.06, false_alarm_run=500)
    with pytest.raises(ValueError, match="between 0 and 51"):
        run_cusum(chart, [], start=52)
