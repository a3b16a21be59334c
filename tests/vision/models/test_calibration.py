"""From evidence to probability: it rises, it is honest about itself, and it never invents a number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.models.calibration import FEWEST_OF_A_KIND, Calibration, _flattened, _line_of_good, _platt

RNG = np.random.default_rng(0)


def test_the_median_good_part_gets_a_tenth_and_the_good_limit_a_half():
    good = np.arange(1001.0)
    calibration = Calibration.of(good)
    assert calibration.method == "good"
    assert float(calibration.probability(500.0)) == pytest.approx(0.1)
    assert float(calibration.probability(500 + 3 * 1.4826 * 250)) == pytest.approx(0.5)


def test_overlapping_kinds_give_probabilities_that_stand_up():
    good, bad = RNG.normal(0, 1, 4000), RNG.normal(2, 1, 1000)
    calibration = Calibration.of(good, bad)
    assert calibration.method == "platt"
    # Two normals of equal spread: the log odds are exactly 2x - 2 when both kinds are equally common.
    assert calibration.slope == pytest.approx(2, rel=0.1)
    assert calibration.offset == pytest.approx(-2, rel=0.1)
    for each in calibration.reliability:
        assert each.probability == pytest.approx(each.bad_share, abs=0.08)
    assert sum(each.n for each in calibration.reliability) == 5000


def test_a_few_bad_parts_do_not_bend_the_line():
    good, few = RNG.normal(0, 1, 50), RNG.normal(5, 1, FEWEST_OF_A_KIND - 1)
    line = Calibration.of(good, few)
    assert (line.method, line.slope, line.offset) == (
        "good",
        Calibration.of(good).slope,
        Calibration.of(good).offset,
    )


def test_evidence_that_falls_with_badness_is_not_believed():
    good, bad = RNG.normal(1, 1, 50), RNG.normal(0, 1, 50)
    assert Calibration.of(good, bad).method == "good"


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30),
    st.lists(st.floats(-1e6, 1e6), max_size=30),
)
def test_more_evidence_is_never_less_probable(good, bad):
    calibration = Calibration.of(good, bad)
    said = calibration.probability(np.sort(np.array([*good, *bad, 0.0])))
    assert (np.diff(said) >= 0).all()
    assert ((said >= 0) & (said <= 1)).all()


def test_nan_stays_nan_and_is_refused_as_evidence():
    calibration = Calibration.of([1.0, 2.0, 3.0])
    assert np.isnan(calibration.probability(np.nan))
    with pytest.raises(ValueError, match="not finite"):
        Calibration.of([1.0, np.nan])
    with pytest.raises(ValueError, match="at least one good part"):
        Calibration.of([])


def test_it_comes_back_from_json():
    calibration = Calibration.of(RNG.normal(0, 1, 30), RNG.normal(2, 1, 30))
    assert Calibration.from_json(calibration.as_json()) == calibration


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"slope": 1.0},
        {"slope": -1.0, "offset": 0.0, "method": "good"},
        {"slope": float("nan"), "offset": 0, "method": ""},
    ],
)
def test_a_calibration_that_is_not_whole_is_refused(kept):
    with pytest.raises(ValueError, match="calibration"):
        Calibration.from_json(kept)


@pytest.mark.parametrize("good", [[30.0], [30.0] * 50, [30.0, 30.001, 29.999], [-6.9] * 8, [0.0, 1e-9]])
def test_good_parts_that_hardly_differ_make_no_cliff(good):
    calibration = Calibration.of(good)
    middle = float(np.median(good))
    beyond = calibration.probability(middle + 0.1 * max(abs(middle), 1.0))
    assert 0.5 < float(beyond) < 0.999
    assert 0.1 <= float(calibration.probability(middle)) < 0.5


def test_kinds_that_hardly_differ_make_no_cliff():
    calibration = Calibration.of([30.0, 30.001] * 10, [30.002, 30.003] * 10)
    assert calibration.method == "platt"
    assert 0.4 < float(calibration.probability(30.0)) < 0.5 < float(calibration.probability(30.003)) < 0.6


def test_a_wide_spread_is_left_as_it_is():
    good, bad = RNG.normal(30, 3, 50), RNG.normal(60, 10, 50)
    calibration = Calibration.of(good)
    assert (calibration.slope, calibration.offset) == _line_of_good(good)
    both = Calibration.of(good, bad)
    assert (both.slope, both.offset) == _platt(good, bad)


@given(
    st.floats(1e-6, 1e6),
    st.floats(-1e3, 1e3),
    st.floats(-1e3, 1e3),
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20),
    st.floats(0.001, 0.5),
)
def test_no_part_passes_that_a_steeper_line_would_have_stopped(slope, half, middle, evidence, grey_from):
    cliff = Calibration(slope, -slope * half)
    flat = Calibration(*_flattened(cliff.slope, cliff.offset, middle=middle))
    assert 0 < flat.slope <= cliff.slope
    before, now = cliff.probability(np.array(evidence)), flat.probability(np.array(evidence))
    stopped = before >= grey_from
    assert (now[stopped] >= grey_from - 1e-9).all()
    assert (np.abs(now - 0.5) <= np.abs(before - 0.5) + 1e-9).all()
