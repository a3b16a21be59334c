"""Which classes a classifier learns, and its linear layer."""

import numpy as np
import pytest

from vision.models.classes import (
    FEWEST_OF_A_TYPE,
    bad_evidence,
    balanced_weights,
    classes_of,
    fit_linear,
    numbers_of,
)
from vision.predictor import Example

PIXELS = np.zeros((2, 2, 3), np.uint8)
GOOD = Example(PIXELS, is_bad=False)


def bad(*names):
    return [Example(PIXELS, is_bad=True, defect=name) for name in names]


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["dent"] * 5 + ["crack"] * 5, ["good", "crack", "dent"]),
        (["dent"] * 5 + ["crack"] * 5 + ["", "burr"], ["good", "crack", "dent", ""]),
        (["dent"] * 5 + ["crack"] * 4, ["good", ""]),
        (["dent"] * 3, ["good", "dent"]),
        (["", ""], ["good", ""]),
    ],
)
def test_defect_types_are_told_apart_once_two_have_enough_examples(names, classes):
    assert FEWEST_OF_A_TYPE == 5
    assert classes_of([GOOD, *bad(*names)]) == classes


def test_rare_and_unnamed_defects_are_never_taken_for_good():
    graded = [GOOD, *bad(*["dent"] * 5, *["crack"] * 5, "", "burr")]
    numbers = numbers_of(graded, classes_of(graded))
    assert numbers.tolist() == [0, *[2] * 5, *[1] * 5, 3, 3]
    assert numbers_of(bad("new"), ["good", "crack", "dent"]).tolist() == [1]


def test_good_and_bad_weigh_alike():
    weights = balanced_weights(np.array([0] * 90 + [1] * 4 + [2] * 6))
    assert weights[:90].sum() == pytest.approx(weights[90:].sum())
    assert weights.mean() == pytest.approx(1)


@pytest.mark.parametrize("count", [2, 3])
def test_the_linear_layer_tells_its_classes_apart(count):
    rng = np.random.default_rng(0)
    numbers = np.repeat(np.arange(count), 40)
    features = rng.normal(size=(len(numbers), 6)) + 5 * np.eye(6)[numbers] + 100
    linear = fit_linear(features, numbers, classes=count, regularisation_c=1.0)
    logits = features @ linear.weight.T + linear.bias
    assert (logits.argmax(axis=1) == numbers).mean() > 0.95
    assert ((bad_evidence(logits) > 0) == (numbers > 0)).mean() > 0.95


def test_a_class_without_an_example_is_never_the_likely_one():
    rng = np.random.default_rng(0)
    numbers = np.array([0, 2] * 20)
    linear = fit_linear(rng.normal(size=(40, 3)), numbers, classes=4, regularisation_c=1.0)
    logits = rng.normal(size=(100, 3)) @ linear.weight.T + linear.bias
    assert set(logits.argmax(axis=1)) <= {0, 2}


def test_broken_logits_stay_broken():
    assert np.isnan(bad_evidence(np.array([0.0, np.nan])))
    assert np.isnan(bad_evidence(np.array([np.nan, 0.0, 1.0])))
