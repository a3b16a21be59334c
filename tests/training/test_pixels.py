import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from training.pixels import PixelCounts, aupro, pixel_auroc, pixel_figures


def counts_of(maps, masks):
    counts = PixelCounts.for_maps(maps)
    for defect_map, mask in zip(maps, masks, strict=True):
        counts.add(defect_map, mask)
    return counts


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_pixel_auroc_agrees_with_sorting_every_pixel(seed):
    rng = np.random.default_rng(seed)
    masks = [rng.random((20, 30)) < 0.2 for _ in range(3)]
    maps = [(rng.random((20, 30)) * 0.7 + 0.3 * mask).astype(np.float32) for mask in masks]

    exact = roc_auc_score(
        np.concatenate([m.ravel() for m in masks]), np.concatenate([m.ravel() for m in maps])
    )

    assert pixel_auroc(counts_of(maps, masks)) == pytest.approx(exact, abs=0.002)


def two_regions():
    mask = np.zeros((40, 40), np.bool_)
    mask[2:4, 2:4] = True
    mask[10:30, 10:30] = True
    return mask


def test_a_perfect_map_has_an_aupro_of_one():
    mask = two_regions()
    assert aupro(counts_of([mask.astype(np.float32) * 0.9 + 0.05], [mask])) == pytest.approx(1.0, abs=0.001)


def test_a_small_region_counts_as_much_as_a_large_one():
    mask = two_regions()
    only_large = mask.copy()
    only_large[2:4, 2:4] = False
    blind = np.where(only_large, 0.9, 0.1).astype(np.float32)

    # One of two regions is found at once; the other only along the line of chance, .15 on the average up to .3.
    assert aupro(counts_of([blind], [mask])) == pytest.approx(0.5 + 0.5 * 0.15, abs=0.005)


def test_without_defect_pixels_there_is_no_figure():
    counts = counts_of(
        [np.random.default_rng(0).random((8, 8)).astype(np.float32)], [np.zeros((8, 8), np.bool_)]
    )

    assert (pixel_auroc(counts), aupro(counts)) == (None, None)


def test_a_map_of_another_size_than_its_mask_is_refused():
    with pytest.raises(ValueError, match="pixels"):
        counts_of([np.zeros((4, 4), np.float32)], [np.zeros((5, 4), np.bool_)])


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_edges_in_log_odds_count_maps_one_by_one_as_exactly(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((40, 30)) < 0.2
    defect_map = (1 / (1 + np.exp(-rng.normal(-3 + 2 * mask, 2)))).astype(np.float32)
    counts = PixelCounts.by_log_odds()
    counts.add(defect_map, mask)

    assert pixel_auroc(counts) == pytest.approx(roc_auc_score(mask.ravel(), defect_map.ravel()), abs=0.002)


def test_without_a_painted_part_there_are_no_pixel_figures():
    assert pixel_figures(None) == {"pixel_auroc": None, "aupro": None}
