"""AUROC: the chance that a bad part scores above a good one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from metrics.roc import auroc

scores = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0]), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("good", "bad", "answer"),
    [
        ([0.1, 0.2], [0.8, 0.9], 1.0),
        ([0.8, 0.9], [0.1], 0.0),
        ([0.5], [0.5], 0.5),
        ([0.1, 0.5], [0.3, 0.5], 0.625),
    ],
)
def test_small_cases_by_hand(good, bad, answer):
    assert auroc(good, bad) == answer


@given(scores, scores)
def test_it_agrees_with_scikit_learn(good, bad):
    truth = np.r_[np.zeros(len(good)), np.ones(len(bad))]
    assert auroc(good, bad) == pytest.approx(roc_auc_score(truth, [*good, *bad]))


@pytest.mark.parametrize("bad", [[math.nan], [math.inf, 0.5]])
def test_a_score_that_is_not_finite_is_refused(bad):
    with pytest.raises(ValueError, match="not finite"):
        auroc([0.1], bad)


def test_one_sided_data_is_refused():
    with pytest.raises(ValueError, match="at least one good and one bad"):
        auroc([0.1], [])
