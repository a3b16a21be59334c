"""Synthetic bad parts: the mask tells exactly which pixels of the good part were changed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vision.augment.pictures import good_part, marked_part, textured
from vision.augment import KINDS, foreground_of, synthetic_bad
from vision.augment.noise import perlin
from vision.augment.synthesis import LEAST_CHANGE
from vision.predictor import Example


def donors():
    return [marked_part(seed=1), marked_part(row=0, column=10, size=9)]


def made(kind, *, seed, part=None, **options):
    return synthetic_bad(part or good_part(96, 128), np.random.default_rng(seed), [kind], donors(), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_the_pixels_under_the_mask_change(kind):
    for seed in range(12):
        part = good_part(96, 128, seed=seed, is_grey=bool(seed % 2))
        bad = made(kind, seed=seed, part=part)
        change = np.abs(bad.pixels.astype(int) - part.pixels).max(axis=2)
        assert np.array_equal(change > 0, bad.mask)
        assert change[bad.mask].min() >= LEAST_CHANGE
        assert bad.mask.any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_new_part_is_bad_of_its_kind_and_in_the_good_parts_group(kind):
    bad = made(kind, seed=1)
    assert (bad.is_bad, bad.defect, bad.group) == (True, f"synthetic:{kind}", "tile 1")
    assert bad.pixels.dtype == np.uint8
    assert bad.mask.dtype == np.bool_


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bits_and_another_seed_another_part(kind):
    first, again, other = made(kind, seed=5), made(kind, seed=5), made(kind, seed=6)
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.pixels, other.pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_the_good_part_itself_is_left_as_it_was(kind):
    part = good_part(96, 128)
    before = part.pixels.copy()
    made(kind, seed=2, part=part)
    assert np.array_equal(part.pixels, before)


@pytest.mark.parametrize("kind", ["scratch", "crack"])
def test_a_scratch_is_long_and_thin(kind):
    for seed in range(8):
        rows, columns = np.nonzero(made(kind, seed=seed, part=good_part(200, 240)).mask)
        spread = np.linalg.eigvalsh(np.cov(np.stack([rows, columns])))
        assert spread[1] > 6 * spread[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0.0, 255.0])
def test_a_defect_shows_on_black_and_on_white_too(kind, level):
    flat = Example(np.full((40, 40, 3), level, np.uint8), is_bad=False)
    for seed in range(4):
        assert made(kind, seed=seed, part=flat).mask.any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (8, 8)])
def test_tiny_pictures_work(kind, size):
    for seed in range(6):
        part = Example(textured(*size, seed=seed), is_bad=False)
        bad = made(kind, seed=seed, part=part)
        assert np.array_equal((bad.pixels != part.pixels).any(axis=2), bad.mask)
        assert bad.mask.any()


@pytest.mark.parametrize("kind", KINDS)
def test_marks_stay_on_the_part_where_its_foreground_is_told(kind):
    foreground = np.zeros((96, 128), bool)
    foreground[30:70, 40:90] = True
    for seed in range(5):
        assert not (made(kind, seed=seed, foreground=foreground).mask & ~foreground).any()


def test_a_real_defect_brings_its_own_look():
    bad = made("real", seed=3)
    assert bad.pixels[bad.mask].max() > 1.5 * good_part(96, 128).pixels.mean()


def test_a_real_defect_at_a_border_stays_at_that_border():
    at_the_top = [marked_part(row=0, column=20, size=8)]
    for seed in range(6):
        bad = synthetic_bad(good_part(96, 128), np.random.default_rng(seed), ["real"], at_the_top)
        assert bad.mask[0].any()


def test_a_real_defect_larger_than_the_good_part_is_made_smaller():
    large = [marked_part(row=5, column=5, height=200, width=200, size=150)]
    bad = synthetic_bad(good_part(24, 20), np.random.default_rng(0), ["real"], large)
    assert bad.mask.any()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_perlin_noise_is_bounded_and_has_the_size_asked_for(height, width, cells_y, cells_x, seed):
    noise = perlin(np.random.default_rng(seed), height=height, width=width, cells_y=cells_y, cells_x=cells_x)
    assert noise.shape == (height, width)
    assert np.abs(noise).max() <= 1 + 1e-5


@pytest.mark.parametrize("is_light", [True, False])
def test_the_foreground_is_the_part_whether_light_or_dark(is_light):
    y, x = np.mgrid[:80, :100]
    part = np.hypot(y - 40, x - 50) < 25
    grey = np.where(part == is_light, 190, 40).astype(np.uint8)
    found = foreground_of(np.repeat(grey[:, :, None], 3, axis=2))
    assert (found == part).mean() > 0.97


def test_a_part_that_fills_the_picture_is_foreground_everywhere():
    assert foreground_of(np.full((20, 20, 3), 128, np.uint8)).all()


@pytest.mark.parametrize(
    ("part", "kinds", "given", "sentence"),
    [
        (marked_part(), ["dent"], [], "this part is bad"),
        (good_part(), ["rust"], [], "no synthetic defect 'rust'; there are: scratch, crack"),
        (good_part(), [], [], "Name at least one kind"),
        (good_part(), ["real"], [], 'The kind "real" needs a bad part on which the defect was painted'),
        (good_part(), ["dent", "real"], [replace(marked_part(), mask=None)], "needs a bad part"),
        (
            good_part(),
            ["real"],
            [replace(marked_part(), mask=np.ones((5, 5), bool))],
            "as large as its picture",
        ),
        (replace(good_part(), mask=np.zeros((3, 3), bool)), ["dent"], [], "as large as its picture"),
    ],
)
def test_what_cannot_be_made_is_refused_with_a_sentence(part, kinds, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        synthetic_bad(part, np.random.default_rng(0), kinds, given)


@pytest.mark.parametrize(
    ("foreground", "sentence"),
    [(np.ones((3, 3), bool), "The foreground has"), (np.zeros((48, 64), bool), "The foreground is empty")],
)
def test_a_foreground_that_cannot_be_is_refused_with_a_sentence(foreground, sentence):
    with pytest.raises(ValueError, match=sentence):
        synthetic_bad(good_part(), np.random.default_rng(0), ["dent"], foreground=foreground)
