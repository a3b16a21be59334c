"""The region of interest: which pixels count, and what hides the others."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vision.preprocess.pictures import FLANGE
from vision.preprocess.region import Curtain, Painted, Polygon, Rectangle, RegionOfInterest


def painted(*places):
    mask = np.zeros((20, 30), np.bool_)
    for row, column in places:
        mask[row, column] = True
    return Painted(mask)


def test_all_counts_where_nothing_is_said():
    assert RegionOfInterest(20, 30).mask().all()


def test_areas_add_up_and_ignored_ones_are_taken_away():
    region = RegionOfInterest(
        20,
        30,
        inside=(Rectangle(2, 3, 10, 8), Polygon(((20, 10), (28, 10), (28, 18))), painted((0, 0))),
        ignored=(Rectangle(4, 4, 2, 2), painted((12, 27))),
    )
    mask = region.mask()
    assert mask[3, 2]
    assert not mask[2, 2]
    assert mask[10, 11]
    assert not mask[11, 11]
    assert mask[10, 20]  # a polygon's corner belongs to it
    assert mask[0, 0]
    assert not mask[4, 4]
    assert not mask[12, 27]
    assert mask.sum() == 80 - 4 + 1 + sum(range(1, 10)) - 1


def test_a_rectangle_may_reach_beyond_the_frame():
    assert RegionOfInterest(20, 30, (Rectangle(25, 15, 100, 100),)).mask().sum() == 25


@pytest.mark.parametrize(
    ("areas", "reason"),
    [
        ({"ignored": (Rectangle(0, 0, 30, 20),)}, "no pixel"),
        ({"inside": (Rectangle(-1, 0, 3, 3),)}, "no rectangle"),
        ({"inside": (Polygon(((0, 0), (1, 1))),)}, "three corners"),
        ({"inside": (Painted(np.ones((3, 3), np.bool_)),)}, "does not fit"),
    ],
)
def test_a_region_that_cannot_be_is_refused(areas, reason):
    with pytest.raises(ValueError, match=reason):
        RegionOfInterest(20, 30, **areas)


def test_a_region_survives_json_and_tensors():
    region = RegionOfInterest(
        20, 30, (Rectangle(1, 2, 9, 9), Polygon(((1, 1), (9.5, 1), (4, 8)))), (painted((3, 4), (5, 6)),)
    )
    again = RegionOfInterest.from_json(json.loads(json.dumps(region.as_json())), region.tensors())
    assert np.array_equal(again.mask(), region.mask())
    assert again.as_json() == region.as_json()


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({}, "not whole"),
        ({"frame": [20, 30], "inside": [{"circle": [1]}]}, "rectangle, polygon or mask"),
        ({"frame": [20, 30], "inside": [{"rectangle": [1, 2, 3]}]}, "4 whole numbers"),
        ({"frame": [20, 30], "inside": [{"polygon": [1, 2]}]}, r"list of \[x, y\]"),
        ({"frame": [20, 30], "inside": [{"mask": "gone"}]}, "is missing"),
        ({"frame": [20, 30], "inside": ["all"]}, "An area is"),
    ],
)
def test_json_that_is_no_region_is_refused_with_a_sentence(known, reason):
    with pytest.raises(ValueError, match=reason):
        RegionOfInterest.from_json(known, {})


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_hidden_pixels_never_shine_through_and_shown_ones_are_untouched(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((60, 80)) < 0.5
    mask[0, 0] = True
    one = rng.integers(0, 256, (60, 80, 3), np.uint8)
    other = np.where(mask[:, :, None], one, rng.integers(0, 256, (60, 80, 3), np.uint8))
    shown = Curtain(mask).over(one)
    assert np.array_equal(shown, Curtain(mask).over(other))
    assert np.array_equal(shown[mask], one[mask])


def test_no_edge_arises_where_the_region_ends():
    """On an even picture the curtain has the picture's colour, whatever the exposure."""
    mask = RegionOfInterest(100, 120, (Rectangle(30, 20, 40, 50),)).mask()
    for level in (3, 90, 250):
        picture = np.full((100, 120, 3), (level, level // 2, 7), np.uint8)
        assert np.abs(Curtain(mask).over(picture).astype(int) - picture).max() <= 2


def test_the_curtain_goes_on_with_the_colours_beside_it():
    ramp = np.repeat(np.arange(0, 250, dtype=np.uint8)[None, :, None], 100, axis=0).repeat(3, axis=2)
    mask = np.zeros((100, 250), np.bool_)
    mask[30:70] = True
    shown = Curtain(mask).over(np.ascontiguousarray(ramp))
    assert np.abs(shown[29].astype(int) - ramp[29]).max() <= 12
    assert np.abs(shown[71].astype(int) - ramp[71]).max() <= 12


def test_an_open_curtain_changes_nothing():
    assert Curtain(np.ones((512, 512), np.bool_)).over(FLANGE) is FLANGE
