"""Defect maps: stretched, stored and cut into regions."""

import numpy as np
import pytest

from vision.maps import Region, defect_regions, from_png, resize_to_image, to_png

TWO_SPOTS = np.zeros((28, 28), np.float32)
TWO_SPOTS[2:5, 3:7] = 0.6
TWO_SPOTS[20:22, 20:22] = 0.9
TWO_SPOTS[10, 10] = 1.0


def test_a_map_covers_the_whole_image():
    full = resize_to_image(TWO_SPOTS, height=300, width=500)
    assert (full.shape, full.dtype) == ((300, 500), np.float32)
    assert 0 <= full.min() <= full.max() <= 1


def test_a_map_survives_its_png():
    assert np.abs(from_png(to_png(TWO_SPOTS)) - TWO_SPOTS).max() <= 1 / 510 + 1e-7


@pytest.mark.parametrize("content", [b"", b"no png", to_png(TWO_SPOTS)[:40]])
def test_bytes_that_are_no_map_are_refused(content):
    with pytest.raises(ValueError, match="not a defect map"):
        from_png(content)


def test_regions_come_strongest_first_and_specks_are_dropped():
    assert defect_regions(TWO_SPOTS, threshold=0.5, min_area_px=2) == [
        Region(20, 20, 2, 2, 4, pytest.approx(0.9)),
        Region(3, 2, 4, 3, 12, pytest.approx(0.6)),
    ]


@pytest.mark.parametrize(
    "broken",
    [np.full((4, 4), np.nan, np.float32), np.zeros((0, 4), np.float32), np.full((4, 4), 1.5, np.float32)],
)
def test_a_broken_map_never_looks_clean(broken):
    with pytest.raises(ValueError):
        to_png(broken)
    with pytest.raises(ValueError):
        defect_regions(broken, threshold=0.5, min_area_px=1)
