"""Cells: what a small head on the frozen backbone learns from painted labels."""

import numpy as np
import pytest
import torch

from metrics.roc import auroc
from tests.vision.models.painted import small_part, small_parts
from vision.families import new_predictor
from vision.models.cells import CHANNELS, Cells
from vision.models.cells_head import CellHead, Seen, taught_head
from vision.predictor import Example, NotFittedError, Predictor, State, no_progress
from vision.runtime.export import parity, to_onnx
from vision.runtime.onnx_engine import OnnxEngine
from vision.runtime.torch_engine import TorchEngine

torch.set_num_threads(1)
OPTIONS = {"tile_px": 64, "overlap_px": 16, "steps": 30}


def new(**options):
    return new_predictor("cells", device="cpu", options={**OPTIONS, **options})


@pytest.fixture(scope="module")
def fitted():
    predictor = new()
    predictor.fit(small_parts(), seed=1, progress=no_progress)
    return predictor


def test_it_speaks_the_protocol(fitted):
    assert isinstance(fitted, Predictor)


def test_it_finds_what_was_painted_and_points_at_it(fitted):
    strangers = small_parts(seed=7)
    predictions = fitted.predict([part.pixels for part in strangers])
    good = [p.score for p, part in zip(predictions, strangers, strict=True) if not part.is_bad]
    bad = [p.score for p, part in zip(predictions, strangers, strict=True) if part.is_bad]
    assert auroc(good, bad) > 0.95
    part, prediction = strangers[-1], predictions[-1]
    row, column = np.unravel_index(prediction.defect_map.argmax(), prediction.defect_map.shape)
    rows, columns = np.nonzero(part.mask)
    assert abs(16 * row + 8 - rows.mean()) < 20
    assert abs(16 * column + 8 - columns.mean()) < 20


@pytest.mark.parametrize("shape", [(1, 1, 3), (37, 300, 3), (96, 128, 3)])
def test_images_of_any_size_get_a_map_that_covers_them(fitted, shape):
    prediction = fitted.predict([np.full(shape, 128, np.uint8)])[0]
    assert 0 <= prediction.score <= 1
    assert prediction.defect_map.shape == (-(-shape[0] // 16), -(-shape[1] // 16))


def test_the_exposure_changes_nothing(fitted):
    pixels = small_part(5, is_bad=True).pixels // 2 + 40
    assert np.allclose(fitted.prepare(pixels), fitted.prepare(pixels + 30), atol=1e-5)


def test_the_other_images_of_a_batch_change_no_bit(fitted):
    images = [part.pixels for part in small_parts(seed=3)[-3:]]
    together = fitted.predict(images)
    assert [p.score for p in together] == [fitted.predict([image])[0].score for image in images]


def test_the_same_seed_teaches_the_same_head(fitted):
    again = new()
    again.fit(small_parts(), seed=1, progress=no_progress)
    ours, theirs = fitted.state(), again.state()
    assert ours.metadata == theirs.metadata
    assert all(np.array_equal(ours.tensors[name], theirs.tensors[name]) for name in ours.tensors)


def test_a_kept_state_gives_the_same_score_bit_for_bit(fitted):
    again = Cells.from_state(fitted.state(), device="cpu")
    image = small_part(77, is_bad=True).pixels
    ours, theirs = (p.predict([image])[0] for p in (fitted, again))
    assert ours.score == theirs.score
    assert np.array_equal(ours.defect_map, theirs.defect_map)


def test_a_state_that_is_not_whole_is_refused(fitted):
    tensors, metadata = fitted.state()
    name = next(iter(tensors))
    with pytest.raises(ValueError, match="does not fit"):
        Cells.from_state(State({k: v for k, v in tensors.items() if k != name}, metadata), device="cpu")
    with pytest.raises(ValueError, match="not whole"):
        Cells.from_state(State(tensors, {}), device="cpu")
    with pytest.raises(ValueError, match="another preprocessing"):
        Cells.from_state(State(tensors, {**metadata, "preprocessing": {}}), device="cpu")


def test_another_runtime_gives_the_same_scores(fitted):
    engine = OnnxEngine(to_onnx(fitted.network, tile_shape=(3, 64, 64)).content)
    begun = [fitted.begin(small_part(n, is_bad=bool(n)).pixels) for n in range(2)]
    assert parity(TorchEngine(fitted.network, device="cpu"), engine, begun).max_score_difference < 1e-3


def test_a_broken_network_answers_nan(fitted):
    predictor = Cells.from_state(fitted.state(), device="cpu")
    with torch.no_grad():
        predictor.network.head.last.weight.fill_(torch.nan)
    assert np.isnan(predictor.predict([small_part(1).pixels])[0].score)
    with pytest.raises(ValueError, match="not finite"):
        predictor.calibrate(small_parts(good=3, bad=0))


def test_of_a_large_picture_some_cells_are_remembered_and_painted_ones_among_them():
    part = small_part(3, is_bad=True)
    whole, some = (
        new().seen(part, name="a", most=most, rng=np.random.default_rng(0)) for most in (10_000, 12)
    )
    assert whole.cells.shape == (len(whole.painted), CHANNELS)
    assert 0 < whole.painted.sum() < len(whole.painted) / 4
    assert len(some.cells) == 12
    assert some.painted.sum() == min(6, whole.painted.sum())


def test_a_mask_is_cut_as_its_picture_is():
    part = small_part(3, is_bad=True, height=256, width=256)
    row, column = (int(each.mean()) // 16 for each in np.nonzero(part.mask))
    predictor = new(tile_px=256)
    seen = predictor.seen(part, name="", most=10_000, rng=np.random.default_rng(0))
    assert seen.painted.reshape(16, 16)[row, column]
    half = predictor.seen(
        Example(part.pixels, is_bad=False), name="", most=10_000, rng=np.random.default_rng(0)
    )
    assert not half.painted.any()


def test_parts_count_alike_however_many_pictures_there_are_of_them():
    """One part seen ninety times, unlike the others: it does not outvote them."""
    rng = np.random.default_rng(0)

    def seen(part, level, *, is_bad):
        cells = (rng.normal(0, 0.1, (20, 4)) + level).astype(np.float16)
        return Seen(cells, np.full(20, is_bad), is_bad=is_bad, part=part)

    good = [seen("often", 1.0, is_bad=False) for _ in range(90)] + [
        seen(f"g{n}", 0.0, is_bad=False) for n in range(9)
    ]
    bad = [seen(f"b{n}", 1.0, is_bad=True) for n in range(9)]
    head = taught_head([*good, *bad], steps=60, seed=0, progress=no_progress)
    assert isinstance(head, CellHead)
    assert head(torch.ones(4)) > head(torch.zeros(4)) + 1


def test_before_fitting_and_without_paint_it_refuses():
    with pytest.raises(NotFittedError):
        new().predict([small_part(0).pixels])
    with pytest.raises(NotFittedError):
        new().calibrate(small_parts(good=2, bad=0))
    unpainted = [small_part(n, is_bad=n >= 8, painted=False) for n in range(14)]
    with pytest.raises(ValueError, match="cells needs at least 5 good parts and 3 bad ones with a painted"):
        new().fit(unpainted, seed=0, progress=no_progress)


@pytest.mark.parametrize(
    "options", [{"tile_px": 100}, {"overlap_px": 60}, {"scale": 9}, {"steps": 0}, {"held_share": 0.7}]
)
def test_wild_options_are_refused(options):
    with pytest.raises(ValueError, match=r"tile_px|overlap_px|scale|steps"):
        new(**options)
