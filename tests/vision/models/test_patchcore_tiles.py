"""PatchCore's look at large pictures: tiles at native resolution, one map."""

import numpy as np
import pytest
import torch

from tests.vision.conftest import examples_of
from vision.families import new_predictor
from vision.models.backbone import load_backbone
from vision.models.patch_views import GRID_PX, TiledView
from vision.models.patchcore import PatchCore
from vision.predictor import no_progress

OPTIONS = {"view": "tiles", "bank_size": 200}


@pytest.fixture(scope="module")
def fitted_tiles(good_parts):
    predictor = new_predictor("patchcore", device="cpu", options=OPTIONS)
    predictor.fit(examples_of([part[:300, :400] for part in good_parts[:6]]), seed=0, progress=no_progress)
    return predictor


def test_a_defect_is_found_at_its_place(fitted_tiles, good_parts):
    good = good_parts[7][:300, :400]
    bad = good.copy()
    bad[200:216, 310:326] = (255, 60, 40)
    clean, spoiled = fitted_tiles.predict([good, bad])
    assert spoiled.score > clean.score
    assert spoiled.defect_map.shape == (38, 50)  # cells of 8 pixels, the last row half beyond the picture
    row, column = np.unravel_index(spoiled.defect_map.argmax(), spoiled.defect_map.shape)
    assert abs(row * 8 + 4 - 208) <= 12
    assert abs(column * 8 + 4 - 318) <= 12


def test_where_tiles_overlap_their_cells_lie_on_each_other():
    view = TiledView(load_backbone(weights_folder=None, device="cpu"))
    picture = np.random.default_rng(0).integers(0, 255, (301, 415, 3)).astype(np.uint8)
    tiles = view.prepare(picture)
    seen = torch.nn.functional.avg_pool2d(torch.from_numpy(tiles[:, 0]), GRID_PX).numpy()
    [plain] = torch.nn.functional.avg_pool2d(
        torch.from_numpy((picture[:296, :408, 0].astype(np.float32) - 127.5) / 127.5)[None], GRID_PX
    ).numpy()
    laid = view.map_of(seen, height=301, width=415)
    assert laid.shape == (38, 52)
    assert np.allclose(laid[:37, :51], plain, atol=1e-5)


def test_images_of_any_size_are_scored(fitted_tiles):
    for shape in ((1, 1, 3), (37, 500, 3), (224, 224, 3)):
        assert np.isfinite(fitted_tiles.predict([np.full(shape, 128, np.uint8)])[0].score)
    with pytest.raises(ValueError, match="HxWx3"):
        fitted_tiles.predict([np.zeros((10, 10), np.uint8)])


def test_a_broken_cell_makes_the_score_nan(fitted_tiles, good_parts):
    raw = fitted_tiles.engine.run([fitted_tiles.prepare(good_parts[0])])[0]
    raw[0][1, 14, 14] = np.nan
    assert np.isnan(fitted_tiles.finish(raw, height=512, width=512).score)


def test_a_kept_model_answers_the_same_bits(fitted_tiles, good_parts):
    again = PatchCore.from_state(fitted_tiles.state(), device="cpu")
    [ours], [theirs] = fitted_tiles.predict(good_parts[:1]), again.predict(good_parts[:1])
    assert ours.score == theirs.score
    assert np.array_equal(ours.defect_map, theirs.defect_map)
    assert again.preprocessing == fitted_tiles.preprocessing
