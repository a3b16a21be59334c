"""Outlined defects as a map: where, and how bad."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.models.instance_map import draw_instances


def test_a_mask_lies_in_its_box_and_nowhere_else():
    mask = np.zeros((28, 28), np.float32)
    mask[:, :14] = 0.5
    drawn = draw_instances(np.array([[0.25, 0.5, 0.75, 1.0]]), np.array([0.8]), mask[None], cells=32)
    assert drawn.max() == pytest.approx(0.8)
    assert np.flatnonzero(drawn.max(axis=1)).tolist() == list(range(16, 32))
    assert drawn[:, :8].max() == drawn[:, 17:].max() == 0


def test_where_instances_overlap_the_worse_one_counts():
    boxes = np.array([[0, 0, 1, 1.0], [0, 0, 0.5, 0.5]])
    drawn = draw_instances(boxes, np.array([0.3, 0.9]), np.ones((2, 28, 28), np.float32), cells=8)
    assert drawn[0, 0] == pytest.approx(0.9)
    assert drawn[7, 7] == pytest.approx(0.3)


def test_no_instance_is_an_empty_map():
    drawn = draw_instances(np.empty((0, 4)), np.empty(0), np.empty((0, 28, 28), np.float32), cells=8)
    assert not drawn.any()


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.floats(0.01, 1), st.integers(0, 99))
def test_however_small_a_box_is_its_probability_is_drawn(corners, probability, seed):
    x1, x2 = sorted(corners[:2])
    y1, y2 = sorted(corners[2:])
    mask = np.random.default_rng(seed).uniform(0, 1, size=(1, 28, 28)).astype(np.float32)
    drawn = draw_instances(np.array([[x1, y1, x2, y2]]), np.array([probability]), mask, cells=16)
    assert drawn.max() == pytest.approx(probability, rel=1e-6)
