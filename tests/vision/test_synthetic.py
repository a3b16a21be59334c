"""Rendered parts: the truth they carry must be the truth in their pixels."""

import numpy as np
import pytest

from vision.synthetic import DEFECTS, render_part


def test_a_good_part_has_an_empty_mask():
    image, mask = render_part(np.random.default_rng(1))
    assert (image.shape, image.dtype, mask.shape) == ((512, 512, 3), np.uint8, (512, 512))
    assert mask.max() == 0


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_lies_where_its_mask_says(defect):
    shown = 0
    for seed in range(6):
        image, mask = render_part(np.random.default_rng(seed), defect)
        inside = mask > 0
        assert set(np.unique(mask)) <= {0, 255}
        assert inside.mean() < 0.1
        if inside.sum() > 12:
            shown += 1
        assert image.std() > 10
    assert shown >= 5


def test_the_same_seed_renders_the_same_part():
    first, _ = render_part(np.random.default_rng(3), "crack")
    again, _ = render_part(np.random.default_rng(3), "crack")
    assert np.array_equal(first, again)


def test_two_good_parts_differ():
    first, _ = render_part(np.random.default_rng(3))
    other, _ = render_part(np.random.default_rng(4))
    assert np.abs(first.astype(int) - other.astype(int)).mean() > 1
