"""Tiles: every pixel is seen, and every map comes back to its place."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.preprocess.tiling import Layout, stitch, tile, tiles_of


@st.composite
def layouts(draw):
    size = draw(st.integers(1, 48))
    return Layout(
        draw(st.integers(1, 150)), draw(st.integers(1, 150)), size, draw(st.integers(0, min(size - 1, 24)))
    )


def a_map(layout, seed=0):
    return np.random.default_rng(seed).random((layout.height, layout.width), np.float32)


def cut(the_map, layout):
    return list(tiles_of(the_map, layout))


@settings(max_examples=60, deadline=None)
@given(layouts())
def test_every_pixel_lies_in_a_tile_and_neighbours_share_the_overlap(layout):
    seen = np.zeros((max(layout.height, layout.size), max(layout.width, layout.size)), int)
    for row, column in layout.places:
        seen[row : row + layout.size, column : column + layout.size] += 1
    assert seen.min() >= 1
    assert len(layout.places) == len(layout)
    for starts in (layout.rows, layout.columns):
        assert all(0 < b - a <= layout.size - layout.overlap for a, b in pairwise(starts))


@settings(max_examples=60, deadline=None)
@given(layouts(), st.sampled_from(["blend", "maximum"]))
def test_a_map_that_is_cut_and_stitched_is_the_same_map(layout, how):
    the_map = a_map(layout)
    back = stitch(cut(the_map, layout), layout, how=how)
    assert back.shape == the_map.shape
    assert back.dtype == np.float32
    assert np.abs(back - the_map).max() <= 1e-6
    assert back.max() <= 1  # a probability stays one


@settings(max_examples=40, deadline=None)
@given(layouts(), st.sampled_from(["blend", "maximum"]), st.floats(0, 1, width=32))
def test_a_constant_map_stitches_to_itself(layout, how, value):
    maps = np.full((len(layout), layout.size, layout.size), value, np.float32)
    back = stitch(maps, layout, how=how)
    assert np.abs(back - np.float32(value)).max() <= 1e-6
    assert back.max() <= 1


@settings(max_examples=40, deadline=None)
@given(layouts(), st.data())
def test_one_hot_pixel_keeps_its_place_and_its_value(layout, data):
    row, column = data.draw(st.integers(0, layout.height - 1)), data.draw(st.integers(0, layout.width - 1))
    hot = np.zeros((layout.height, layout.width), np.float32)
    hot[row, column] = 1
    back = stitch(cut(hot, layout), layout)
    assert np.argwhere(back == back.max()).tolist() == [[row, column]]
    assert back[row, column] == pytest.approx(1, abs=1e-6)


def test_what_one_tile_alone_says_keeps_its_share_nearest_to_its_centre():
    layout = Layout(96, 96, 64, 32)  # four tiles; all see the middle
    maps = np.zeros((4, 64, 64), np.float32)
    maps[0, 40, 40] = 1  # row 40, column 40 of the image; tile 0 is centred on 32, 32
    assert 0.25 <= stitch(maps, layout)[40, 40] < 1
    assert stitch(maps, layout, how="maximum")[40, 40] == 1


def test_no_seam_shows_where_neighbours_disagree():
    layout = Layout(64, 112, 64, 16)
    maps = np.zeros((2, 64, 64), np.float32)
    maps[1] = 1
    steps = np.diff(stitch(maps, layout)[32])
    assert steps.min() >= 0
    assert steps.max() < 0.2


def test_a_small_map_is_stretched_over_its_tile():
    layout = Layout(128, 64, 64, 0)
    maps = np.stack([np.full((8, 8), 0.2, np.float32), np.full((8, 8), 0.8, np.float32)])
    back = stitch(maps, layout)
    assert np.allclose(back[:64], 0.2)
    assert np.allclose(back[64:], 0.8)


@pytest.mark.parametrize("how", ["blend", "maximum"])
def test_a_nan_stays_a_nan(how):
    layout = Layout(96, 96, 64, 32)
    maps = np.full((4, 64, 64), 0.5, np.float32)
    maps[2, 5, 7] = np.nan
    row, column = layout.places[2]
    assert np.argwhere(np.isnan(stitch(maps, layout, how=how))).tolist() == [[row + 5, column + 7]]


def test_an_image_smaller_than_a_tile_is_mirrored_outwards():
    image = np.arange(3 * 4 * 3, dtype=np.uint8).reshape(3, 4, 3)
    tiles, layout = tile(image, 16, 4)
    assert tiles.shape == (1, 16, 16, 3)
    top, _, left, _ = layout.padding
    assert np.array_equal(tiles[0, top : top + 3, left : left + 4], image)
    assert np.array_equal(tiles[0, top - 1, left : left + 4], image[1])
    assert stitch(tiles[..., 0].astype(np.float32), layout).shape == (3, 4)


def test_tiles_are_views_so_that_a_large_image_is_held_once():
    image = np.zeros((300, 200, 3), np.uint8)
    assert all(np.shares_memory(each, image) for each in tiles_of(image, Layout(300, 200, 64, 16)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (65, 1)])
def test_tiny_images_are_tiled_too(shape):
    mask = np.ones(shape, np.bool_)
    layout = Layout(*shape, 32, 8)
    assert all(each.shape == (32, 32) and each.all() for each in tiles_of(mask, layout))


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="cannot share"):
        Layout(10, 10, 8, 8)
    with pytest.raises(ValueError, match="cannot be cut"):
        Layout(0, 10, 8, 2)
    layout = Layout(20, 20, 16, 4)
    with pytest.raises(ValueError, match="laid out for 20x20"):
        list(tiles_of(np.zeros((20, 21, 3), np.uint8), layout))
    with pytest.raises(ValueError, match="fewer maps"):
        stitch(np.zeros((3, 16, 16), np.float32), layout)
    with pytest.raises(ValueError, match="more maps"):
        stitch(np.zeros((5, 16, 16), np.float32), layout)
