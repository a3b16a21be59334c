"""The hybrid's rule: never less safe than any member."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.roc import auroc
from metrics.thresholds import propose_thresholds
from vision.models.calibration import Calibration
from vision.models.fusion import Fusion, word_of

words = st.floats(-20, 20)


def parts(seed, *, good, bad, unknown=0.2):
    """Words of held-out parts: each member is blind to some of the bad ones, and they are not the same."""
    rng = np.random.default_rng(seed)
    fine = rng.normal([-2, -3], [1, 1.5], (good, 2))
    kind = rng.random(bad)
    seen = rng.normal([1.5, 3], [1.5, 2], (bad, 2))
    blind = rng.normal([-2, -3], [1, 1.5], (bad, 2))
    seen[kind < unknown, 1] = blind[kind < unknown, 1]  # a defect that the classifier was never taught
    seen[kind > 1 - unknown, 0] = blind[kind > 1 - unknown, 0]  # one that does not look strange
    return fine, seen


@pytest.fixture(scope="module")
def rule():
    return Fusion.of(*parts(0, good=80, bad=30))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 120), st.integers(1, 60), words)
def test_what_a_member_alone_would_reject_is_never_passed(seed, good, bad, other):
    """By thresholds drawn from the same held-out parts, for the member alone and for the fused score."""
    fine, broken = parts(seed, good=good, bad=bad)
    rule = Fusion.of(fine, broken)
    passes_below = propose_thresholds(rule.probability(fine), rule.probability(broken)).grey_from
    for member in (0, 1):
        line = Calibration.of(fine[:, member], broken[:, member])
        alone = propose_thresholds(*_alone(fine, broken, member))
        candidates = np.linspace(-20, 20, 81)
        rejected = candidates[line.probability(candidates) >= alone.grey_to]
        strange = np.full((len(rejected), 2), other)
        strange[:, member] = rejected
        assert (rule.probability(strange) >= passes_below).all()


def test_a_part_that_one_member_would_reject_is_lifted_no_higher_than_that_needs(rule):
    fine, broken = parts(0, good=80, bad=30)
    strange = np.array([[fine[:, 0].max() + 0.01, -20.0]])
    below = (rule.probability(broken) < rule.probability(strange)).mean()
    assert below <= 0.1


def test_three_members_are_weighed_as_two_are():
    fine, broken = (np.column_stack([each, each[:, 0]]) for each in parts(6, good=100, bad=40))
    rule = Fusion.of(fine, broken)
    assert len(rule.weights) == len(rule.lines) == 3
    assert sum(rule.weights) == pytest.approx(1)
    assert auroc(rule.probability(fine), rule.probability(broken)) > 0.9


@given(words, words, st.floats(0, 5), st.floats(0, 5))
def test_it_never_falls_where_either_word_rises(rule, anomaly, supervised, more, more_too):
    lower, higher = np.array([[anomaly, supervised]]), np.array([[anomaly + more, supervised + more_too]])
    assert rule.probability(higher)[0] >= rule.probability(lower)[0]


@pytest.mark.parametrize("pair", [(np.nan, -5.0), (-5.0, np.nan), (np.nan, np.nan)])
def test_nan_of_either_member_is_nan(rule, pair):
    assert np.isnan(rule.probability(np.array([pair])))[0]


def test_a_member_that_gives_nan_has_no_word():
    assert np.isnan(word_of(np.nan))
    assert np.isfinite(word_of(np.array([0.0, 1.0]))).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 200), st.integers(1, 29))
def test_on_the_parts_the_thresholds_are_drawn_from_it_passes_no_more_bad_parts_than_either(seed, good, bad):
    fine, broken = parts(seed, good=good, bad=bad)
    rule = Fusion.of(fine, broken)
    assert _underkill(rule.probability(fine), rule.probability(broken)) <= min(
        _underkill(*_alone(fine, broken, member)) for member in (0, 1)
    )


def test_on_strangers_it_passes_no_more_bad_parts_than_either():
    """Drawn from some parts, thresholds from others, judged on yet others; 40 times 40 bad parts."""
    passed, alone = 0, np.zeros(2, int)
    for seed in range(40):
        (fine, broken), (more, worse), (_, worst) = (parts(3 * seed + n, good=100, bad=40) for n in range(3))
        rule = Fusion.of(fine, broken)
        cut = propose_thresholds(rule.probability(more), rule.probability(worse)).grey_from
        passed += int((rule.probability(worst) < cut).sum())
        for member in (0, 1):
            line = Calibration.of(fine[:, member], broken[:, member])
            cut = propose_thresholds(
                line.probability(more[:, member]), line.probability(worse[:, member])
            ).grey_from
            alone[member] += int((line.probability(worst[:, member]) < cut).sum())
    assert passed <= alone.min()


def test_it_tells_good_from_bad_better_than_either_where_their_blind_spots_differ():
    rule = Fusion.of(*parts(1, good=200, bad=80))
    fine, broken = parts(2, good=300, bad=150)
    together = auroc(rule.probability(fine), rule.probability(broken))
    assert together > max(auroc(fine[:, member], broken[:, member]) for member in (0, 1))


def test_a_useless_member_gets_a_small_share():
    rng = np.random.default_rng(0)
    fine, broken = parts(3, good=200, bad=80, unknown=0.0)
    fine[:, 1], broken[:, 1] = rng.normal(0, 1, 200), rng.normal(0, 1, 80)
    assert Fusion.of(fine, broken).weights[1] < 0.4


def test_good_parts_alone_redraw_it_with_the_bad_ones_that_it_remembers():
    fine, broken = parts(4, good=100, bad=40)
    rule = Fusion.of(fine, broken)
    other_unit = rule.redrawn(3 * fine + 7, np.empty((0, 2)))  # a member's line was drawn anew
    assert other_unit.probability(3 * broken + 7) == pytest.approx(rule.probability(broken), abs=1e-6)


def test_it_comes_back_from_json_as_it_was(rule):
    fine, _ = parts(9, good=20, bad=1)
    assert np.array_equal(Fusion.from_json(rule.as_json()).probability(fine), rule.probability(fine))


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [2.0, -1.0]},
        {"weights": [1.0]},
        {"guard": float("nan")},
        {"lines": [{}]},
        {"bad": None},
    ],
)
def test_a_rule_that_is_not_whole_is_refused(rule, change):
    with pytest.raises(ValueError, match="The model's"):
        Fusion.from_json({**rule.as_json(), **change})


def test_without_bad_parts_or_with_wild_words_there_is_no_rule():
    fine, broken = parts(5, good=10, bad=5)
    with pytest.raises(ValueError, match="good and bad"):
        Fusion.of(fine, broken[:0])
    with pytest.raises(ValueError, match="not finite"):
        Fusion.of(fine, np.full((3, 2), np.nan))


def _alone(fine, broken, member):
    line = Calibration.of(fine[:, member], broken[:, member])
    return line.probability(fine[:, member]), line.probability(broken[:, member])


def _underkill(good, bad):
    return propose_thresholds(good, bad).underkill.k
