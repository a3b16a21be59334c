"""What a model said against what was."""

import numpy as np
import pytest

from metrics.rates import wilson
from training.reliability import reliability


def test_a_bin_counts_its_parts_and_weighs_good_and_bad_alike():
    # 16 good parts at .2 and 8 bad at .9, but two good ones look bad and one bad one looks good.
    scores = [0.2] * 14 + [0.9] * 2 + [0.9] * 7 + [0.2]
    is_bad = [False] * 16 + [True] * 8

    bins = reliability(scores, is_bad)

    assert [(each.k, each.n) for each in bins] == [
        (sum(is_bad[n] for n in inside), 8) for inside in _thirds(scores)
    ]
    last = bins[-1]
    assert last.share == pytest.approx((last.k / 8) / (last.k / 8 + (last.n - last.k) / 16), abs=1e-4)
    assert last.lower < last.share < last.upper or last.share == last.upper == 1


def _thirds(scores):
    return np.array_split(np.argsort(scores, kind="stable"), 3)


def test_with_as_many_good_as_bad_parts_the_interval_is_wilsons():
    rng = np.random.default_rng(0)
    said = rng.uniform(size=400)
    is_bad = rng.uniform(size=400) < said
    extra = 400 - 2 * int(is_bad.sum())
    said, is_bad = np.r_[said, [0.5] * abs(extra)], np.r_[is_bad, [extra > 0] * abs(extra)]

    for each in reliability(said.tolist(), is_bad.tolist()):
        lower, upper = wilson(each.k, each.n)
        assert (each.share, each.lower, each.upper) == pytest.approx(
            (each.k / each.n, lower, upper), abs=1e-4
        )


def test_an_honest_model_lies_on_the_diagonal_however_rare_bad_parts_are():
    rng = np.random.default_rng(1)
    odds = rng.normal(0, 2, 20_000)
    balanced = 1 / (1 + np.exp(-odds))
    # A tenth of the parts is bad: the score says what it would be were they half.
    is_bad = rng.uniform(size=len(odds)) < 1 / (1 + 9 * np.exp(-odds))

    bins = reliability(balanced.tolist(), is_bad.tolist())

    ratio = (~is_bad).sum() / is_bad.sum() / 9  # the mix that came out
    for each in bins:
        wanted = each.probability * ratio / (each.probability * ratio + 1 - each.probability)
        assert each.share == pytest.approx(wanted, abs=0.06)


@pytest.mark.parametrize("is_bad", [[True, True], [False, False]])
def test_with_one_kind_of_parts_there_is_nothing_to_tell(is_bad):
    assert reliability([0.1, 0.9], is_bad) == []


def test_few_parts_share_one_bin():
    assert len(reliability([0.1, 0.9, 0.4], [False, True, False])) == 1


def test_a_score_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="no probability"):
        reliability([0.1, float("nan")], [False, True])
