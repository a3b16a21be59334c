"""Into the network's input and back: nothing moves on the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.manifest import ModelInput
from vision.models.placement import Placement


def wanted(resize="letterbox", height=64, width=64, **more):
    return ModelInput("image", height, width, resize=resize, **more)


sides = st.integers(1, 300)


@given(sides, sides)
def test_a_letterboxed_image_fills_one_axis_and_keeps_its_aspect(height, width):
    place = Placement.of(wanted(), height=height, width=width)
    assert max(place.width, place.height) == 64
    assert abs(place.width - max(1, 64 * width / max(width, height))) <= 0.5
    assert abs(place.height - max(1, 64 * height / max(width, height))) <= 0.5
    before, after = place.left, 64 - place.left - place.width
    assert 0 <= after - before <= 1


@given(sides, sides, st.sampled_from(["letterbox", "stretch"]))
def test_the_images_own_edges_come_back_exactly(height, width, resize):
    place = Placement.of(wanted(resize), height=height, width=width)
    whole = [[place.left, place.top, place.left + place.width, place.top + place.height]]
    assert place.boxes_as_fractions(np.array(whole, float)).tolist() == [[0, 0, 1, 1]]


def test_what_lies_in_the_padding_is_cut_off():
    place = Placement.of(wanted(), height=32, width=64)
    box = place.boxes_as_fractions(np.array([[-5.0, 0, 32, 32]]))
    assert box.tolist() == [[0, 0, 0.5, 0.5]]


def test_the_padding_is_grey_114_and_the_image_is_in_the_middle():
    place = Placement.of(wanted(), height=20, width=40)
    laid = place.lay(np.full((20, 40, 3), 200, np.uint8), wanted())
    assert laid.shape == (64, 64, 3)
    assert set(laid[:16].ravel()) == set(laid[48:].ravel()) == {114}
    assert set(laid[16:48].ravel()) == {200}


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_the_maps_cells_over_the_image_are_cut_out(factor):
    place = Placement.of(wanted(), height=32, width=64)
    side = 64 // factor
    cells = np.full((side, side), 9.0)  # the padding's cells say something else
    inner = np.arange(side * side // 2, dtype=float).reshape(side // 2, side)
    cells[side // 4 : 3 * side // 4] = inner
    assert np.array_equal(place.cells_of_image(cells, wanted()), inner)


def test_a_rectangle_that_ends_inside_a_cell_is_interpolated_where_it_lies():
    place = Placement(left=0, top=12, width=64, height=40)  # rows 1.5 to 6.5 of 8 cells of 8 px
    rows = np.repeat(np.arange(8, dtype=float)[:, None], 8, axis=1)
    assert np.allclose(place.cells_of_image(rows, wanted())[:, 0], [1.5, 2.5, 3.5, 4.5, 5.5])


def test_a_stretched_map_stays_as_it_is():
    place = Placement.of(wanted("stretch"), height=10, width=500)
    cells = np.random.default_rng(0).random((7, 7))
    assert place.cells_of_image(cells, wanted("stretch")) is cells
