"""Moved and relit copies: the mask goes where the pixels go, and nothing leaves the allowed range."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vision.augment.pictures import good_part, marked_part, textured
from vision.augment import AllowedRange, augmented
from vision.augment.photometric import motion_kernel
from vision.predictor import Example

EVERYTHING = AllowedRange(
    flip_horizontal=True,
    flip_vertical=True,
    quarter_turns=True,
    rotation_deg=180,
    shift=0.2,
    scale=0.3,
    perspective=0.1,
    exposure_stops=1,
    gamma=0.5,
    contrast=0.5,
    blur_px=2,
    motion_px=5,
    shot_noise=0.05,
    read_noise=0.02,
    jpeg_quality_from=40,
)
seeds = st.integers(0, 2**32 - 1)


def seeded(seed):
    return np.random.default_rng(seed)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_a_range_that_allows_nothing_changes_no_bit(seed):
    part = marked_part()
    copy = augmented(part, AllowedRange(), seeded(seed))
    assert np.array_equal(copy.pixels, part.pixels)
    assert np.array_equal(copy.mask, part.mask)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_the_same_seed_gives_the_same_bits(seed):
    first = augmented(marked_part(), EVERYTHING, seeded(seed))
    again = augmented(marked_part(), EVERYTHING, seeded(seed))
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.mask, again.mask)


def test_other_seeds_give_other_copies():
    copies = [augmented(good_part(), EVERYTHING, seeded(seed)).pixels for seed in range(5)]
    assert all(not np.array_equal(copies[0], copy) for copy in copies[1:] if copy.shape == copies[0].shape)


@given(
    seeds,
    st.sampled_from(
        [
            AllowedRange(flip_horizontal=True, flip_vertical=True, quarter_turns=True),
            AllowedRange(rotation_deg=180),
            AllowedRange(shift=0.4),
            AllowedRange(scale=0.4),
            AllowedRange(perspective=0.1),
            AllowedRange(rotation_deg=20, shift=0.2, scale=0.2, perspective=0.05, flip_vertical=True),
        ]
    ),
)
@settings(max_examples=60, deadline=None)
def test_a_marked_pixel_lands_where_the_mask_says(seed, allowed):
    copy = augmented(marked_part(), allowed, seeded(seed))
    shown = copy.pixels[:, :, 0] > 30 + 0.5 * 220
    assert shown.any()
    assert not (shown & ~copy.mask).any()
    assert (copy.pixels[copy.mask][:, 0] > 30 + 0.2 * 220).all()


def test_a_hair_crack_keeps_its_mask_when_it_turns():
    mask = np.zeros((60, 60), bool)
    mask[range(15, 45), range(15, 45)] = True
    crack = Example(np.full((60, 60, 3), 90, np.uint8), is_bad=True, mask=mask, group="t")
    for seed in range(10):
        turned = augmented(crack, AllowedRange(rotation_deg=90), seeded(seed)).mask
        pieces, _ = cv2.connectedComponents(turned.astype(np.uint8), connectivity=8)
        assert pieces == 2
        assert turned.sum() >= 30


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_a_painted_defect_never_leaves_the_picture(seed):
    at_the_corner = marked_part(row=0, column=0, size=2)
    assert augmented(at_the_corner, AllowedRange(shift=0.5, rotation_deg=45), seeded(seed)).mask.any()


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_the_light_alone_never_moves_a_mask_and_grade_defect_and_group_are_kept(seed):
    part = marked_part()
    light = replace(EVERYTHING, flip_horizontal=False, flip_vertical=False, quarter_turns=False)
    light = replace(light, rotation_deg=0, shift=0, scale=0, perspective=0)
    copy = augmented(part, light, seeded(seed))
    assert np.array_equal(copy.mask, part.mask)
    assert (copy.is_bad, copy.defect, copy.group) == (True, "spot", "tile 9")
    assert copy.pixels.dtype == np.uint8
    assert copy.pixels.shape == part.pixels.shape


@given(seeds, st.floats(0.01, 0.3))
@settings(max_examples=30, deadline=None)
def test_a_shift_stays_within_its_range(seed, shift):
    copy = augmented(marked_part(), AllowedRange(shift=shift), seeded(seed))
    rows, columns = np.nonzero(copy.mask)
    assert abs(rows.mean() - 22) <= shift * 48 + 1
    assert abs(columns.mean() - 32) <= shift * 64 + 1


@given(seeds, st.floats(1, 60))
@settings(max_examples=30, deadline=None)
def test_a_rotation_stays_within_its_range(seed, degrees):
    part = marked_part(row=22, column=50, height=49, width=65)
    copy = augmented(part, AllowedRange(rotation_deg=degrees), seeded(seed))
    rows, columns = np.nonzero(copy.mask)
    angle = np.degrees(np.arctan2(rows.mean() - 24, columns.mean() - 32))
    assert abs(angle) <= degrees + 2


@given(seeds, st.floats(0.1, 1.5))
@settings(max_examples=30, deadline=None)
def test_an_exposure_stays_within_its_range(seed, stops):
    grey = Example(np.full((8, 8, 3), 60, np.uint8), is_bad=False)
    level = augmented(grey, AllowedRange(exposure_stops=stops), seeded(seed)).pixels.mean()
    assert 60 * 2**-stops - 1 <= level <= 60 * 2**stops + 1


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_without_flips_a_part_is_never_mirrored(seed):
    part = marked_part(row=2, column=2)
    rows, columns = np.nonzero(augmented(part, AllowedRange(shift=0.02), seeded(seed)).mask)
    assert rows.mean() < 12
    assert columns.mean() < 12


def test_a_mono_picture_stays_mono_under_noise_and_compression():
    allowed = AllowedRange(shot_noise=0.1, read_noise=0.05, jpeg_quality_from=30, blur_px=1)
    for seed in range(8):
        pixels = augmented(good_part(), allowed, seeded(seed)).pixels
        assert (pixels[:, :, 0] == pixels[:, :, 1]).all()
        assert (pixels[:, :, 1] == pixels[:, :, 2]).all()


def test_a_colour_picture_keeps_its_colours_through_jpeg():
    red = Example(np.tile(np.array([[[200, 40, 30]]], np.uint8), (32, 32, 1)), is_bad=False)
    for seed in range(6):
        middle = augmented(red, AllowedRange(jpeg_quality_from=80), seeded(seed)).pixels[16, 16].astype(int)
        assert np.abs(middle - [200, 40, 30]).max() < 12


def test_shot_noise_grows_with_the_light_and_read_noise_is_there_in_the_dark():
    def spread(level, allowed):
        flat = Example(np.full((64, 64, 3), level, np.uint8), is_bad=False)
        return max(augmented(flat, allowed, seeded(seed)).pixels.astype(float).std() for seed in range(12))

    assert spread(200, AllowedRange(shot_noise=0.1)) > 2 * spread(20, AllowedRange(shot_noise=0.1))
    assert spread(20, AllowedRange(read_noise=0.05)) > 5


@pytest.mark.parametrize("length", [0.0, 0.4, 3.0, 9.5])
@pytest.mark.parametrize("angle", [0.0, 0.6, 1.6, 3.1])
def test_a_motion_kernel_keeps_the_light_and_lies_about_the_middle(length, angle):
    kernel = motion_kernel(length, angle=angle)
    axis = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert kernel.sum(axis=0) @ axis == pytest.approx(0, abs=1e-4)
    assert kernel.sum(axis=1) @ axis == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5)])
def test_tiny_pictures_work(size):
    for seed in range(12):
        part = Example(textured(*size), is_bad=True, mask=np.ones(size, bool))
        copy = augmented(part, EVERYTHING, seeded(seed))
        assert copy.pixels.shape[:2] == copy.mask.shape
        assert copy.mask.any()


def test_pictures_that_are_not_square_are_turned_upside_down_alone():
    for seed in range(10):
        assert augmented(good_part(), AllowedRange(quarter_turns=True), seeded(seed)).pixels.shape == (
            48,
            64,
            3,
        )


def test_a_mask_of_another_size_than_its_picture_is_refused_with_a_sentence():
    part = replace(marked_part(), mask=np.zeros((10, 10), bool))
    with pytest.raises(ValueError, match="as large as its picture"):
        augmented(part, AllowedRange(), seeded(0))
