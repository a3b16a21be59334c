"""A family behind a preprocessing: the same protocol, parts in their place, maps in the picture."""

import hashlib
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from tests.vision.preprocess.pictures import FLANGE, bracket, motion, seen
from vision import model_file
from vision.families import new_predictor
from vision.model_file import ModelFileError
from vision.predictor import Example, Predictor, no_progress
from vision.preprocess.alignment import AlignmentError
from vision.preprocess.chain import Preprocess
from vision.preprocess.motion import mapped
from vision.preprocess.prepared import Preprocessed, place
from vision.preprocess.region import Painted, RegionOfInterest
from vision.staged import Stepwise
from vision.synthetic import render_part

cv2.setNumThreads(1)
Y, X = np.mgrid[:512, :512]
FACE = RegionOfInterest(512, 512, (Painted(np.hypot(X - 255.5, Y - 255.5) < 215),))
BLANK = np.full((512, 512, 3), 128, np.uint8)


def moved(number):
    rng = np.random.default_rng(number)
    return motion(
        512, turn_deg=rng.uniform(-8, 8), shift=rng.uniform(-0.03, 0.03, 2), scale=rng.uniform(0.98, 1.02)
    )


def part(number):
    return seen(render_part(np.random.default_rng(number))[0], moved(number), gain=0.9, noise=2, seed=number)


def blotted(picture, x, y, radius=16):
    """The picture with a bright blot, as no good part has one."""
    return cv2.circle(picture.copy(), (round(x), round(y)), radius, (255, 60, 40), -1, cv2.LINE_AA)


def new_wrapped():
    inner = new_predictor("patchcore", device="cpu", options={"bank_size": 300})
    return Preprocessed(inner, Preprocess(region=FACE, reference=FLANGE))


@pytest.fixture(scope="module")
def wrapped():
    predictor = new_wrapped()
    good = [Example(part(number), is_bad=False) for number in range(1, 11)]
    predictor.fit([*good, Example(BLANK, is_bad=False)], seed=1, progress=no_progress)
    return predictor


def test_it_speaks_the_protocol_and_the_steps(wrapped):
    assert isinstance(wrapped, Predictor)
    assert isinstance(wrapped, Stepwise)
    assert wrapped.family == "patchcore"


def test_an_example_that_cannot_be_aligned_is_left_out_and_counted(wrapped):
    assert wrapped.left_out == 1
    assert wrapped.state().metadata["left_out"] == 1


def test_the_preprocessing_names_region_alignment_and_the_models_own(wrapped):
    known = json.loads(json.dumps(wrapped.preprocessing))
    assert known["region"]["inside"][0]["mask"]
    assert known["align"]["model"] == "similarity"
    assert known["align"]["reference_sha256"] == hashlib.sha256(FLANGE.tobytes()).hexdigest()
    assert known["model"]["input_px"] == [224, 224]
    assert "input_px" not in known  # nobody may shrink a picture before it is aligned


def test_a_defect_in_a_moved_part_is_found_at_its_place_in_the_picture(wrapped):
    for number, place_on_part in ((31, (330, 180)), (32, (160, 320)), (33, (255, 400))):
        [(x, y)] = mapped(moved(number), np.array([place_on_part], float))
        good, bad = wrapped.predict([part(number), blotted(part(number), x, y)])
        assert bad.score > good.score
        high, wide = bad.defect_map.shape
        row, column = np.unravel_index(bad.defect_map.argmax(), bad.defect_map.shape)
        there = np.array([(column + 0.5) * 512 / wide, (row + 0.5) * 512 / high])
        assert np.linalg.norm(there - (x, y)) < 24  # a cell of this model covers 18 pixels


def test_a_defect_outside_of_the_region_raises_nothing(wrapped):
    clean = part(41)
    [(x, y)] = mapped(moved(41), np.array([[40.0, 40.0]]))
    [without, spoiled] = wrapped.predict([clean, blotted(clean, x, y)])
    assert spoiled.score == pytest.approx(without.score, abs=0.02)
    high, wide = spoiled.defect_map.shape
    assert spoiled.defect_map[int(y * high / 512), int(x * wide / 512)] == 0


def test_one_picture_that_cannot_be_aligned_leaves_the_others_their_answers(wrapped):
    alone = [wrapped.predict([part(number)])[0] for number in (51, 52)]
    together = wrapped.predict([part(51), BLANK, bracket(), part(52)])
    assert [together[0].score, together[3].score] == [each.score for each in alone]
    for unaligned in together[1:3]:
        assert np.isnan(unaligned.score)
        assert np.isnan(unaligned.defect_map).all()
        assert unaligned.problem.endswith(".")
    assert together[0].problem == ""


def test_the_worker_hears_of_such_a_picture_before_the_network_runs(wrapped):
    with pytest.raises(AlignmentError, match="nothing that could be laid"):
        wrapped.begin(BLANK)


def test_the_three_steps_give_what_predict_gives(wrapped):
    begun = wrapped.begin(part(53))
    [raw] = wrapped.engine.run([begun.tiles])
    stepped, [whole] = begun.finish(raw), wrapped.predict([part(53)])
    assert stepped.score == whole.score
    assert np.array_equal(stepped.defect_map, whole.defect_map)


def test_an_engine_put_in_runs_the_model_inside(wrapped):
    original = wrapped.engine
    try:
        wrapped.engine = original
        assert wrapped.model.engine is original
        assert wrapped.network is wrapped.model.network
    finally:
        wrapped.model.engine = original


def test_the_sample_image_can_be_looked_at(wrapped):
    assert np.isfinite(wrapped.predict([wrapped.sample_image()])[0].score)


def test_a_broken_model_still_answers_nan():
    predictor = new_wrapped()
    predictor.fit(
        [Example(part(number), is_bad=False) for number in range(1, 7)], seed=1, progress=no_progress
    )
    with torch.no_grad():
        predictor.model._backbone.stem.weight.fill_(torch.nan)
    [prediction] = predictor.predict([part(3)])
    assert np.isnan(prediction.score)
    assert np.isnan(prediction.defect_map).any()


def test_painted_defects_teach_in_the_models_pixels():
    painted = np.zeros((512, 512), np.bool_)
    [(x, y)] = np.rint(mapped(moved(7), np.array([[300.0, 200.0]]))).astype(int)
    painted[y - 3 : y + 4, x - 3 : x + 4] = True
    placed = place(
        Example(seen(FLANGE, moved(7)), is_bad=True, defect="dent", mask=painted, group="g"),
        new_wrapped().chain,
    )
    rows, columns = np.nonzero(placed.mask)
    assert abs(columns.mean() - 300) < 1.5
    assert abs(rows.mean() - 200) < 1.5
    assert (placed.defect, placed.group, placed.is_bad) == ("dent", "g", True)


def test_a_model_behind_a_preprocessing_is_kept_and_loaded_to_the_bit(wrapped, tmp_path):
    path = tmp_path / "m.safetensors"
    sha256 = model_file.save(wrapped, path, references=[part(61), BLANK, part(62)])
    opened = model_file.open_model(path, expected_sha256=sha256, device="cpu")
    assert isinstance(opened.predictor, Preprocessed)
    assert opened.predictor.family == "patchcore"
    assert opened.predictor.preprocessing == wrapped.preprocessing
    assert opened.predictor.left_out == 1
    [ours], [theirs] = wrapped.predict([part(63)]), opened.predictor.predict([part(63)])
    assert ours.score == theirs.score
    assert np.array_equal(ours.defect_map, theirs.defect_map)
    assert [each.score for each in opened.references] == [
        p.score for p in wrapped.predict([part(61), part(62)])
    ]


def changed(path, change):
    """The file with other tensors or another header, under its own new hash."""
    content = path.read_bytes()
    tensors = load_tensors(content)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    known = json.loads(header["second_look"])
    change(SimpleNamespace(tensors=tensors, known=known))
    content = save_tensors(tensors, metadata={"second_look": json.dumps(known)})
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda file: file.tensors.update({"preprocess.reference": bracket()}),
            "not those that it names",
        ),
        (lambda file: file.tensors.pop("preprocess.reference"), "not whole"),
        (lambda file: file.tensors.pop("model.bank"), "not whole"),
        (lambda file: file.known["metadata"].update(family="spade"), "names another family"),
        (lambda file: file.known["metadata"]["preprocess"].pop("align"), "not whole"),
        (lambda file: file.known["metadata"].pop("model"), "not whole"),
    ],
)
def test_a_file_whose_preprocessing_is_not_whole_is_refused(wrapped, tmp_path, change, reason):
    path = tmp_path / "m.safetensors"
    model_file.save(wrapped, path)
    sha256 = changed(path, change)
    with pytest.raises(ModelFileError, match=reason):
        model_file.load(path, expected_sha256=sha256, device="cpu")


def test_a_model_without_steps_is_refused():
    class Whole:
        family = "whole"

    with pytest.raises(TypeError, match="cannot be put behind"):
        Preprocessed(Whole(), Preprocess(region=FACE))
