"""From painted pixels to the boxes and masks that a detector learns from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.models.detector_targets import (
    MOST_INSTANCES,
    SMALLEST_BOX_PX,
    Painted,
    instances,
    is_painted,
    painted,
)
from vision.predictor import Example

PIXELS = np.zeros((3, 96, 96), dtype=np.float32)


def _example(mask, *, is_bad=True, defect="scratch"):
    return Example(np.zeros((*mask.shape, 3), np.uint8), is_bad=is_bad, defect=defect, mask=mask)


def test_two_painted_places_are_two_instances_with_their_boxes():
    mask = np.zeros((192, 192), dtype=bool)
    mask[20:60, 40:100] = True
    mask[120:180, 100:140] = True
    lesson = painted(_example(mask), PIXELS, types=["scratch"])
    assert sorted(lesson.boxes.tolist()) == [[20, 10, 50, 30], [50, 60, 70, 90]]
    assert lesson.masks.sum(axis=(1, 2)).tolist() == [600, 600]
    assert lesson.labels.tolist() == [0, 0]


def test_a_hair_crack_survives_the_smaller_size():
    mask = np.zeros((960, 960), dtype=bool)
    mask[500, 100:700] = True
    (crack,) = instances(mask, size=96)
    assert crack.any(axis=0).sum() == 60


def test_a_tiny_defect_gets_a_box_that_a_grid_can_hit_inside_the_image():
    for place in (0, 50, 95):
        mask = np.zeros((96, 96), dtype=bool)
        mask[place, place] = True
        ((left, top, right, bottom),) = painted(_example(mask), PIXELS, types=["scratch"]).boxes
        assert (right - left, bottom - top) == (SMALLEST_BOX_PX, SMALLEST_BOX_PX)
        assert 0 <= left <= place <= right <= 96
        assert 0 <= top <= place <= bottom <= 96


def test_specks_are_dropped_unless_there_is_nothing_else():
    mask = np.zeros((96, 96), dtype=bool)
    mask[5, 5] = True
    assert len(instances(mask, size=96)) == 1
    mask[40:60, 40:60] = True
    assert [int(each.sum()) for each in instances(mask, size=96)] == [400]


def test_a_pepper_of_specks_is_bounded():
    mask = np.zeros((192, 192), dtype=bool)
    mask[::8, ::8] = mask[1::8, ::8] = mask[::8, 1::8] = mask[1::8, 1::8] = True
    assert len(instances(mask, size=192)) == MOST_INSTANCES


def test_a_good_part_has_nothing_to_find():
    lesson = painted(_example(np.ones((96, 96), dtype=bool), is_bad=False), PIXELS, types=["scratch"])
    assert lesson.boxes.shape == (0, 4)
    assert lesson.masks.shape == (0, 96, 96)


def test_defect_types_get_their_numbers():
    mask = np.ones((96, 96), dtype=bool)
    assert painted(_example(mask, defect="dent"), PIXELS, types=["crack", "dent"]).labels.tolist() == [1]


@pytest.mark.parametrize(
    ("example", "is_lesson"),
    [
        (_example(np.ones((8, 8), dtype=bool)), True),
        (_example(np.zeros((8, 8), dtype=bool)), False),
        (_example(np.ones((8, 8), dtype=bool), is_bad=False), False),
        (Example(np.zeros((8, 8, 3), np.uint8), is_bad=True), False),
    ],
)
def test_only_bad_parts_with_paint_are_painted(example, is_lesson):
    assert is_painted(example) is is_lesson


@given(st.booleans(), st.booleans(), st.integers(0, 1000))
def test_boxes_follow_the_mirrored_picture(across, down, seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((96, 96), dtype=bool)
    y, x = rng.integers(0, 60, size=2)
    mask[y : y + rng.integers(13, 36), x : x + rng.integers(13, 36)] = True
    lesson = painted(_example(mask), mask[None].repeat(3, axis=0).astype(np.float32), types=["scratch"])
    mirrored = lesson.mirrored(across=across, down=down)
    assert isinstance(mirrored, Painted)
    left, top, right, bottom = mirrored.boxes[0].astype(int)
    inside = np.zeros((96, 96), dtype=bool)
    inside[top:bottom, left:right] = True
    assert np.array_equal(inside, mirrored.masks[0])
    assert np.array_equal(inside, mirrored.pixels[0] > 0)
