"""Boxes as a map."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vision.models.box_map import EDGE, draw_boxes

fractions = st.floats(0, 1)


@given(st.lists(st.tuples(fractions, fractions, fractions, fractions, fractions), max_size=5))
def test_the_maps_maximum_is_the_strongest_boxs_probability(drawn):
    boxes = np.array([(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d, _ in drawn]).reshape(-1, 4)
    probabilities = np.array([each[4] for each in drawn])
    found = draw_boxes(boxes, probabilities, height=9, width=13)
    assert found.max() == np.float32(max(probabilities, default=0.0))
    assert (found.shape, found.dtype) == ((9, 13), np.float32)


def test_outside_the_box_is_nothing_and_its_edge_is_soft():
    found = draw_boxes(np.array([[0.2, 0.2, 0.8, 0.8]]), np.array([0.8]), height=100, width=100)
    assert found[:20].max() == found[80:].max() == found[:, :20].max() == 0
    assert np.allclose(found[30:70, 30:70], 0.8)
    assert EDGE * 0.8 <= found[20, 50] < found[23, 50] < 0.8


def test_where_boxes_overlap_the_higher_counts():
    boxes = np.array([[0, 0, 1, 1], [0.4, 0.4, 0.6, 0.6]])
    found = draw_boxes(boxes, np.array([0.5, 0.9]), height=50, width=50)
    assert found[25, 25] == np.float32(0.9)
    assert found[10, 10] == np.float32(0.5)
