"""Overlap and suppression against their definitions, written out box by box."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.models.nms import iou, nms, nms_by_class


@st.composite
def boxes(draw, most=12):
    corners = st.integers(0, 20)
    rows = draw(st.lists(st.tuples(corners, corners, corners, corners), max_size=most))
    ordered = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in rows]
    return np.array(ordered, dtype=np.float64).reshape(-1, 4)


def cells(box):
    x1, y1, x2, y2 = box.astype(int)
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


def overlap_by_counting(one, other):
    together = cells(one) | cells(other)
    return len(cells(one) & cells(other)) / len(together) if together else 0.0


def suppressed_by_definition(found, scores, iou_threshold):
    order = sorted(range(len(found)), key=lambda number: (-scores[number], number))
    kept = []
    for number in order:
        if all(overlap_by_counting(found[number], found[other]) <= iou_threshold for other in kept):
            kept.append(number)
    return kept


@given(boxes(6), boxes(6))
def test_overlap_is_shared_cells_over_all_cells(one, other):
    expected = [[overlap_by_counting(a, b) for b in other] for a in one]
    assert np.allclose(iou(one, other), np.array(expected).reshape(len(one), len(other)))


@given(boxes())
def test_overlap_is_symmetric_and_whole_with_itself(found):
    table = iou(found, found)
    assert np.array_equal(table, table.T)
    has_area = (found[:, 2] > found[:, 0]) & (found[:, 3] > found[:, 1])
    assert np.array_equal(np.diag(table), has_area.astype(float))


@given(boxes(), st.data(), st.sampled_from([0.0, 0.3, 0.45, 0.7, 1.0]))
def test_suppression_is_its_definition_ties_included(found, data, iou_threshold):
    scores = np.array(
        data.draw(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=len(found), max_size=len(found)))
    )
    assert nms(found, scores, iou_threshold=iou_threshold).tolist() == suppressed_by_definition(
        found, scores, iou_threshold
    )


@given(boxes(), st.data())
def test_by_class_is_each_class_by_itself_strongest_first(found, data):
    scores = np.array(data.draw(st.lists(st.floats(0, 1), min_size=len(found), max_size=len(found))))
    classes = np.array(
        data.draw(st.lists(st.integers(0, 2), min_size=len(found), max_size=len(found))), dtype=np.intp
    )
    kept = nms_by_class(found, scores, classes, iou_threshold=0.45)
    expected = [
        members[number]
        for members in (np.flatnonzero(classes == each) for each in range(3))
        for number in suppressed_by_definition(found[members], scores[members], 0.45)
    ]
    assert sorted(kept.tolist()) == sorted(expected)
    assert np.all(np.diff(scores[kept]) <= 0)


@given(boxes(), st.data())
def test_the_strongest_box_always_stays(found, data):
    scores = np.array(data.draw(st.lists(st.floats(0, 1), min_size=len(found), max_size=len(found))))
    kept = nms(found, scores, iou_threshold=0.5)
    assert len(kept) == 0 if len(found) == 0 else scores[kept[0]] == scores.max()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="finite"):
        nms(np.array([[0.0, 0, 1, 1]]), np.array([wrong]), iou_threshold=0.5)
    with pytest.raises(ValueError, match="finite"):
        nms(np.array([[0.0, 0, 1, wrong]]), np.array([0.5]), iou_threshold=0.5)
