"""Held-out scores: no part is judged by a model that has seen it or its twin."""

import numpy as np
import pytest

from vision.cross_fit import cross_scores, fit_by_group
from vision.predictor import Prediction, no_progress


class Remembering:
    """Scores 1 for an image whose group it was fitted or calibrated on (the group is the first pixel)."""

    def fit(self, good, bad=(), *, seed, progress):
        self.seen = {int(image[0, 0, 0]) for image in [*good, *bad]}

    def calibrate(self, good, bad=()):
        groups = {int(image[0, 0, 0]) for image in good}
        assert not groups & self.seen
        self.seen |= groups

    def predict(self, images):
        return [
            Prediction(float(int(image[0, 0, 0]) in self.seen), np.zeros((1, 1), np.float32))
            for image in images
        ]


def images_of(groups):
    return [np.full((2, 2, 3), group, np.uint8) for group in groups]


def test_no_part_is_judged_by_a_model_that_knows_its_group():
    good, bad = [n // 3 for n in range(60)], [n // 3 for n in range(30, 90)]  # groups 10-19 on both sides
    scores = cross_scores(
        Remembering,
        images_of(good),
        images_of(bad),
        good_groups=[str(group) for group in good],
        bad_groups=[str(group) for group in bad],
        seed=0,
        progress=no_progress,
    )
    assert (len(scores.good), len(scores.bad)) == (60, 60)
    assert scores.good.max() == 0
    assert scores.bad.max() == 0


def test_fitting_by_group_keeps_a_fifth_of_the_groups_for_calibration():
    groups = [n // 4 for n in range(40)]
    predictor = Remembering()
    fit_by_group(
        predictor, images_of(groups), good_groups=[str(g) for g in groups], seed=3, progress=no_progress
    )
    assert predictor.seen == set(range(10))


def test_groups_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="needs its group"):
        cross_scores(
            Remembering, images_of([1]), [], good_groups=[], bad_groups=[], seed=0, progress=no_progress
        )
    with pytest.raises(ValueError, match="cannot be dealt"):
        cross_scores(
            Remembering, images_of([1]), [], good_groups=["1"], bad_groups=[], seed=0, progress=no_progress
        )
