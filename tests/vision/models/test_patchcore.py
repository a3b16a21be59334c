"""PatchCore: what it learns, and what it never does."""

import numpy as np
import pytest
import torch

from metrics.roc import auroc
from tests.vision.conftest import examples_of
from vision.families import new_predictor
from vision.models.coreset import BANK_BLOCK, greedy_coreset, squared_distances
from vision.predictor import NotFittedError, Predictor, no_progress
from vision.synthetic import DEFECTS, render_part


def test_it_speaks_the_protocol(fitted):
    assert isinstance(fitted, Predictor)


def test_scores_are_probabilities_and_the_robust_maximum_of_the_map(fitted_with_bad, bad_parts):
    for prediction in fitted_with_bad.predict(bad_parts):
        assert 0 <= prediction.score <= 1
        assert (prediction.defect_map.shape, prediction.defect_map.dtype) == ((28, 28), np.float32)
        worst = np.sort(prediction.defect_map.ravel().astype(np.float64))[-3:]
        assert worst[0] - 1e-6 <= prediction.score <= worst[-1] + 1e-6


def test_bad_parts_score_above_good_ones(fitted):
    good = [render_part(np.random.default_rng(900 + n))[0] for n in range(10)]
    bad = [render_part(np.random.default_rng(950 + n), DEFECTS[n % 5])[0] for n in range(15)]
    scores = [[p.score for p in fitted.predict(parts)] for parts in (good, bad)]
    assert auroc(*scores) > 0.7


def test_the_same_image_gets_the_same_score_bit_for_bit(fitted, good_parts):
    first, second = (fitted.predict(good_parts[:1])[0] for _ in range(2))
    assert first.score == second.score
    assert np.array_equal(first.defect_map, second.defect_map)


def test_the_other_images_of_a_batch_change_nothing(fitted, good_parts, bad_parts):
    together = fitted.predict([*good_parts[:3], *bad_parts[:2]])
    alone = [fitted.predict([image])[0] for image in [*good_parts[:3], *bad_parts[:2]]]
    assert [p.score for p in together] == [p.score for p in alone]


def test_no_image_no_prediction(fitted):
    assert fitted.predict([]) == []


def test_the_same_seed_fits_the_same_model(fitted, good_parts):
    again = new_predictor("patchcore", device="cpu")
    again.fit(examples_of(good_parts), seed=1, progress=no_progress)
    ours, theirs = fitted.state(), again.state()
    assert ours.metadata == theirs.metadata
    assert all(np.array_equal(ours.tensors[name], theirs.tensors[name]) for name in ours.tensors)


def test_progress_runs_from_0_to_1(good_parts, bad_parts):
    told = []
    new_predictor("patchcore", device="cpu").fit(
        examples_of(good_parts[:6], bad_parts[:2]),
        seed=0,
        progress=lambda fraction, doing: told.append((fraction, doing)),
    )
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert all(doing for _, doing in told)


def test_a_broken_model_answers_nan_and_not_a_number_that_passes(good_parts):
    predictor = new_predictor("patchcore", device="cpu")
    predictor.fit(examples_of(good_parts[:6]), seed=0, progress=no_progress)
    with torch.no_grad():
        predictor._backbone.stem.weight.fill_(torch.nan)
    assert np.isnan(predictor.predict(good_parts[:1])[0].score)
    with pytest.raises(ValueError, match="not finite"):
        predictor.calibrate(examples_of(good_parts[:3]))


def test_before_fitting_it_refuses(good_parts):
    predictor = new_predictor("patchcore", device="cpu")
    with pytest.raises(NotFittedError):
        predictor.predict(good_parts[:1])
    with pytest.raises(NotFittedError):
        predictor.state()


def test_too_few_good_parts_are_refused(good_parts):
    with pytest.raises(ValueError, match="at least 5 good parts"):
        new_predictor("patchcore", device="cpu").fit(
            examples_of(good_parts[:4]), seed=0, progress=no_progress
        )


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (0, 10, 3)])
def test_an_array_that_is_no_rgb_image_is_refused(fitted, shape):
    with pytest.raises(ValueError, match="HxWx3"):
        fitted.predict([np.zeros(shape, np.uint8)])


def test_images_of_any_size_are_scored(fitted):
    for shape in ((1, 1, 3), (37, 500, 3), (700, 20, 3)):
        assert np.isfinite(fitted.predict([np.full(shape, 128, np.uint8)])[0].score)


def test_the_nearest_neighbour_is_exact():
    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(2, 50, 152, generator=generator)
    bank = torch.randn(BANK_BLOCK + 300, 152, generator=generator)  # more than one block
    brute = torch.cdist(patches, bank, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=2) ** 2
    found = squared_distances(patches, bank, (bank * bank).sum(dim=1))
    assert torch.allclose(found, brute, rtol=1e-4, atol=1e-3)


def test_the_coreset_keeps_every_far_corner():
    centres = torch.eye(20, 152) * 100
    crowd = torch.cat([centres, torch.randn(500, 152, generator=torch.Generator().manual_seed(1)) * 0.1])
    chosen = greedy_coreset(crowd, size=30, seed=0)
    assert len(chosen) == 30
    assert torch.cdist(centres, chosen).amin(dim=1).max() < 1e-3


def test_a_small_pool_is_kept_whole():
    pool = torch.randn(10, 152)
    assert torch.equal(greedy_coreset(pool, size=30, seed=0), pool)
