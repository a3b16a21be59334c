"""Held-out scores: no part is judged by a model that has seen it or its twin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.cross_fit import cross_scores
from vision.holdout import deal_folds, hold_out
from vision.predictor import Example, Prediction, no_progress


class Remembering:
    """Scores 1 for an image whose group it was fitted on (the group is the first pixel)."""

    def fit(self, examples, *, seed, progress):
        self.seen = {int(example.pixels[0, 0, 0]) for example in examples}

    def predict(self, images):
        return [
            Prediction(float(int(image[0, 0, 0]) in self.seen), np.zeros((1, 1), np.float32))
            for image in images
        ]


def examples_of(groups, *, is_bad=False):
    return [Example(np.full((2, 2, 3), group, np.uint8), is_bad, group=str(group)) for group in groups]


def test_no_part_is_judged_by_a_model_that_knows_its_group():
    good, bad = [n // 3 for n in range(60)], [n // 3 for n in range(30, 90)]  # groups 10-19 on both sides
    examples = [*examples_of(good), *examples_of(bad, is_bad=True)]
    scores = cross_scores(Remembering, examples, seed=0, progress=no_progress)
    assert scores.tolist() == [0.0] * 120


def test_fewer_groups_than_folds_are_refused():
    with pytest.raises(ValueError, match="cannot be dealt"):
        cross_scores(Remembering, examples_of([1, 1]), seed=0, progress=no_progress)


@given(st.lists(st.integers(0, 12), min_size=2, max_size=60), st.integers(0, 5))
def test_a_hold_out_never_splits_a_group_and_leaves_both_sides_something(groups, seed):
    taught, held = hold_out(examples_of(groups), share=0.2, seed=seed)
    assert len(taught) + len(held) == len(groups)
    assert taught
    assert held
    if len(set(groups)) > 1:
        assert not {each.group for each in taught} & {each.group for each in held}


def test_a_hold_out_stays_below_its_limit():
    _, held = hold_out(examples_of(n // 4 for n in range(200)), share=0.2, most=10, seed=0)
    assert len(held) == 8


def test_examples_without_a_group_are_groups_of_their_own():
    assert sorted(deal_folds([""] * 6, folds=3, seed=0)) == [0, 0, 1, 1, 2, 2]
