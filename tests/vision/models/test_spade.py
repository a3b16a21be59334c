"""SPADE: the good parts that look most alike, and each cell's best match among theirs."""

import cv2
import numpy as np
import pytest
import torch

from tests.vision.models.good_parts import GoodPartsFamily
from vision.models.spade import SMOOTHING_CELLS, most_different
from vision.predictor import State


class TestSpade(GoodPartsFamily):
    family = "spade"
    options = {"input_px": 128}
    quick_options = {"input_px": 64}
    fewest_auroc = 0.75

    def one_of_each_kind(self, state):
        return {name: state.tensors[name] for name in ("backbone.stem.weight", "gallery", "pooled", "scales")}

    def test_a_cell_of_a_remembered_part_is_no_stranger(self, good_parts):
        predictor = self.fit(good_parts[:7], neighbours=1)
        cells, pooled = predictor._gallery[2].float().numpy(), predictor._pooled[2].numpy()
        assert predictor.evidence_map((cells[None], pooled[None])).max() < 0.01

    def test_more_neighbours_never_make_a_part_stranger(self, good_parts, bad_parts):
        maps = []
        for neighbours in (1, 3, 100):
            predictor = self.fit(good_parts[:7], neighbours=neighbours)
            raw = predictor.engine.run([predictor.prepare(bad_parts[0])])[0]
            maps.append(predictor.evidence_map(raw))
        assert (maps[0] >= maps[1] - 1e-5).all()
        assert (maps[1] >= maps[2] - 1e-5).all()

    def test_a_full_gallery_keeps_the_parts_that_differ_most(self, good_parts):
        predictor = self.fit(good_parts[:7], gallery_images=4)
        assert predictor.state().tensors["gallery"].shape == (4, 256, 176)
        rows = torch.tensor([[0.0], [0.1], [9.0], [0.2], [5.0]])
        assert most_different(rows, count=3) == [0, 2, 4]
        assert most_different(rows, count=9) == [0, 1, 2, 3, 4]

    def test_a_gallery_without_images_is_refused(self, learned):
        state = learned.state()
        empty = {name: state.tensors[name][:0] for name in ("gallery", "pooled")}
        with pytest.raises(ValueError, match="gallery must hold"):
            type(learned).from_state(State({**state.tensors, **empty}, state.metadata), device="cpu")

    def test_the_nearest_match_is_exact(self, learned, bad_parts):
        cells, pooled = (
            torch.from_numpy(each[0]) for each in learned.engine.run([learned.prepare(bad_parts[0])])[0]
        )
        nearest = (learned._pooled - pooled).square().sum(dim=1).argsort()[:10]
        exact = torch.cdist(cells.double(), learned._gallery[nearest].flatten(0, 1).double()).amin(dim=1)
        grid = cv2.GaussianBlur(exact.reshape(16, 16).numpy(), (0, 0), SMOOTHING_CELLS)
        ours = learned.evidence_map((cells[None].numpy(), pooled[None].numpy()))
        assert np.allclose(ours, grid, rtol=1e-3, atol=1e-3)
