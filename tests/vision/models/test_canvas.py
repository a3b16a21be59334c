"""The canvas: parts in their true shape, at one scale and one brightness."""

import numpy as np
import pytest

from vision.models.canvas import CONTRAST, Canvas

WIDE = Canvas(height=64, width=128, scale=0.5)


def test_the_median_image_gets_the_asked_number_of_pixels():
    canvas = Canvas.of([(100, 400), (200, 200), (100, 400)], input_px=100)
    assert canvas == Canvas(height=128, width=224, scale=0.5)


def test_an_image_covers_the_cells_of_its_own_shape():
    assert WIDE.cells(height=64, width=200) == (2, 6)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (4000, 3000)])
def test_an_image_of_any_size_fits(size):
    rows, columns = WIDE.cells(height=size[0], width=size[1])
    assert 1 <= rows <= 4
    assert 1 <= columns <= 8
    assert WIDE.lay(np.full((*size, 3), 7, np.uint8)).shape == (1, 4, 64, 128)


def test_brightness_and_contrast_of_the_light_do_not_matter():
    pixels = np.random.default_rng(0).integers(20, 120, (120, 240, 3)).astype(np.uint8)
    dark, bright = WIDE.lay(pixels), WIDE.lay(pixels * 2)
    assert dark[:, :3, :64, :].std() == pytest.approx(CONTRAST, rel=0.2)
    assert np.abs(dark - bright).max() < 0.05


def test_nothing_is_seen_beside_the_image():
    tile = WIDE.lay(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8))
    assert not tile[:, :, 32:, :].any()
    assert not tile[:, :, :, 32:].any()
    assert (tile[:, 3, :32, :32] == 1).all()


def test_a_picture_of_nothing_is_not_blown_up_to_noise():
    assert not WIDE.lay(np.full((64, 64, 3), 9, np.uint8))[:, :3].any()


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"height": 64, "width": 128},
        {"height": 60, "width": 128, "scale": 1.0},
        {"height": 64, "width": 10**9, "scale": 1.0},
        {"height": 64, "width": 128, "scale": float("nan")},
        {"height": 64, "width": 128, "scale": 0.0},
    ],
)
def test_a_damaged_canvas_is_refused(kept):
    with pytest.raises(ValueError, match="The model's canvas"):
        Canvas.from_json(kept)


def test_a_kept_canvas_comes_back():
    assert Canvas.from_json(WIDE.as_json()) == WIDE
