"""One small fitted model for all tests that only look at it."""

import numpy as np
import pytest
import torch

from vision.families import new_predictor
from vision.predictor import Example, no_progress
from vision.synthetic import DEFECTS, render_part

torch.set_num_threads(1)  # two busy threads on a shared machine wait for each other


def examples_of(good, bad=()):
    return [*(Example(pixels, is_bad=False) for pixels in good), *(Example(p, is_bad=True) for p in bad)]


@pytest.fixture(scope="session")
def good_parts():
    return [render_part(np.random.default_rng(number))[0] for number in range(16)]


@pytest.fixture(scope="session")
def bad_parts():
    return [render_part(np.random.default_rng(500 + n), DEFECTS[n % len(DEFECTS)])[0] for n in range(10)]


@pytest.fixture(scope="session")
def fitted(good_parts):
    predictor = new_predictor("patchcore", device="cpu")
    predictor.fit(examples_of(good_parts), seed=1, progress=no_progress)
    return predictor


@pytest.fixture(scope="session")
def fitted_with_bad(good_parts, bad_parts):
    predictor = new_predictor("patchcore", device="cpu")
    predictor.fit(examples_of(good_parts, bad_parts), seed=1, progress=no_progress)
    return predictor
