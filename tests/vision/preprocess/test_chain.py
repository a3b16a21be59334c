"""Region, alignment and crop together: to the model and back."""

import json

import cv2
import numpy as np
import pytest

from tests.vision.preprocess.pictures import FLANGE, bracket, motion, seen
from vision.preprocess.alignment import AlignmentError, AlignmentOptions
from vision.preprocess.chain import Placement, Preprocess
from vision.preprocess.motion import mapped
from vision.preprocess.plan import read_preprocess
from vision.preprocess.region import Painted, Polygon, Rectangle, RegionOfInterest

MIDDLE = RegionOfInterest(512, 512, (Rectangle(60, 60, 400, 400),))
TURNED = motion(512, turn_deg=8, shift=(0.03, -0.02), scale=1.02)


def spot(shape, x, y, size=9):
    found = np.zeros(shape, np.float32)
    found[y - size // 2 : y + size // 2 + 1, x - size // 2 : x + size // 2 + 1] = 1
    return found


def centre(defect_map):
    rows, columns = np.nonzero(defect_map > 0.5)
    return columns.mean(), rows.mean()


def test_an_aligned_part_looks_as_the_reference():
    chain = Preprocess(region=MIDDLE, reference=FLANGE)
    shown, placement = chain.apply(seen(FLANGE, TURNED))
    assert shown.shape == FLANGE.shape
    inside = MIDDLE.mask()
    assert np.abs(shown.astype(int) - FLANGE)[inside].mean() < 6
    assert np.array_equal(placement.judged, inside)


def test_a_defect_comes_back_to_its_place_in_the_picture():
    chain = Preprocess(region=MIDDLE, reference=FLANGE, crop=Rectangle(50, 40, 420, 430))
    shown, placement = chain.apply(seen(FLANGE, TURNED))
    assert shown.shape == (430, 420, 3)
    back = placement.back(spot((430, 420), 300 - 50, 200 - 40), 512, 512)
    assert back.shape == (512, 512)
    [there] = mapped(TURNED, np.array([[300.0, 200.0]]))
    assert np.linalg.norm(np.array(centre(back)) - there) < 1


@pytest.mark.parametrize(("rows", "columns"), [(28, 28), (56, 40), (430, 420)])
def test_a_map_of_any_resolution_covers_what_the_model_saw_edge_to_edge(rows, columns):
    ramp = np.repeat(np.linspace(0, 1, columns, dtype=np.float32)[None], rows, axis=0)
    placement = Placement(np.eye(3), np.ones((430, 420), np.bool_), 430, 420)
    back = placement.back(ramp, 430, 420)
    assert np.allclose(
        back[200], np.interp((np.arange(420) + 0.5) * columns / 420 - 0.5, range(columns), ramp[0]), atol=0.01
    )
    assert np.allclose(placement.back(ramp, 43, 42)[20], back[200, 5::10], atol=0.03)


def test_the_map_is_0_outside_of_the_region_and_a_nan_stays_a_nan():
    chain = Preprocess(region=RegionOfInterest(512, 512, (), (Rectangle(0, 0, 256, 512),)))
    _, placement = chain.apply(FLANGE)
    back = placement.back(np.ones((64, 64), np.float32), 512, 512)
    assert back[:, :256].max() == 0
    assert back[:, 256:].min() == 1
    broken = np.ones((64, 64), np.float32)
    broken[10, 10] = np.nan
    assert np.isnan(placement.back(broken, 512, 512)).any()


def test_a_mask_goes_to_the_model_as_its_picture_does():
    chain = Preprocess(region=MIDDLE, reference=FLANGE, crop=Rectangle(60, 60, 400, 400))
    _, placement = chain.apply(seen(FLANGE, TURNED))
    [(x, y)] = np.rint(mapped(TURNED, np.array([[300.0, 200.0]]))).astype(int)
    there = centre(placement.forth(spot((512, 512), x, y) > 0))
    assert np.linalg.norm(np.array(there) - (240, 140)) < 1


def test_a_region_that_is_not_wholly_in_the_picture_is_refused():
    far = motion(512, shift=(0.12, 0))
    with pytest.raises(AlignmentError, match="region of interest lies beyond"):
        Preprocess(region=RegionOfInterest(512, 512, (Rectangle(20, 20, 472, 472),)), reference=FLANGE).apply(
            seen(FLANGE, far)
        )
    shown, placement = Preprocess(reference=FLANGE).apply(seen(FLANGE, far))
    assert shown.shape == FLANGE.shape
    assert not placement.judged[:, -55:].any()  # what was not seen is not judged
    assert placement.judged[:, 5:440].all()


def test_without_a_reference_another_size_is_refused():
    chain = Preprocess(region=MIDDLE)
    shown, placement = chain.apply(FLANGE)
    assert np.array_equal(shown[MIDDLE.mask()], FLANGE[MIDDLE.mask()])
    assert np.array_equal(placement.judged, MIDDLE.mask())
    with pytest.raises(AlignmentError, match="drawn on 512x512"):
        chain.apply(FLANGE[:500])


def test_what_does_not_fit_together_is_refused():
    for wrong, reason in (
        ({}, "region of interest, a reference"),
        ({"region": RegionOfInterest(10, 10), "reference": FLANGE}, "different sizes"),
        ({"region": MIDDLE, "align_by": MIDDLE}, "no reference"),
        ({"region": MIDDLE, "crop": Rectangle(500, 0, 20, 20)}, "does not lie in the frame"),
        ({"region": MIDDLE, "crop": Rectangle(0, 0, 20, 20)}, "Nothing of the region"),
        ({"reference": np.zeros((64, 64, 3), np.uint8)}, "nothing to align by"),
    ):
        with pytest.raises(ValueError, match=reason):
            Preprocess(**wrong)


def test_the_chain_survives_json_and_tensors_to_the_bit():
    mask = np.zeros((512, 512), np.bool_)
    mask[100:200, 100:300] = True
    chain = Preprocess(
        region=RegionOfInterest(
            512, 512, (Polygon(((60, 60), (450, 70), (400, 440), (70, 450))),), (Painted(mask),)
        ),
        reference=FLANGE,
        alignment=AlignmentOptions(model="homography", most_turn_deg=12),
        align_by=MIDDLE,
        crop=Rectangle(50, 50, 410, 410),
    )
    again = Preprocess.from_json(json.loads(json.dumps(chain.as_json())), chain.tensors())
    picture = seen(FLANGE, TURNED, noise=3)
    (ours, here), (theirs, there) = chain.apply(picture), again.apply(picture)
    assert np.array_equal(ours, theirs)
    assert np.array_equal(here.matrix, there.matrix)
    assert chain.as_json() == again.as_json()


def test_another_reference_than_the_json_names_is_refused():
    chain = Preprocess(reference=FLANGE)
    with pytest.raises(ValueError, match="not those that it names"):
        Preprocess.from_json(chain.as_json(), {"reference": bracket()})
    with pytest.raises(ValueError, match="not whole"):
        Preprocess.from_json(chain.as_json(), {})
    with pytest.raises(ValueError, match="not whole"):
        Preprocess.from_json({}, {})


def written(folder, plan):
    cv2.imwrite(str(folder / "golden.png"), FLANGE[:, :, ::-1])
    cv2.imwrite(str(folder / "holes.png"), np.pad(np.full((40, 40), 255, np.uint8), ((200, 272), (200, 272))))
    path = folder / "plan.json"
    path.write_text(json.dumps(plan), encoding="utf-8")
    return path


def test_a_plan_is_read_from_a_file_beside_its_pictures(tmp_path):
    plan = {
        "region": {"inside": [{"rectangle": [60, 60, 400, 400]}], "ignored": [{"mask": "holes.png"}]},
        "align": {"reference": "golden.png", "model": "homography", "most_turn_deg": 15},
        "crop": "region",
    }
    chain = read_preprocess(written(tmp_path, plan))
    assert np.array_equal(chain.reference, FLANGE)
    assert chain.alignment == AlignmentOptions(model="homography", most_turn_deg=15.0)
    assert chain.crop == Rectangle(52, 52, 416, 416)
    assert chain.region.mask().sum() == 400 * 400 - 40 * 40


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ([], "is an object"),
        ({}, "a reference picture to align to"),
        ({"regions": {}}, "has no regions; there are: align, crop, region"),
        ({"align": {}}, "names no reference"),
        ({"align": {"reference": "golden.png", "most_turn": 3}}, "no option 'most_turn'"),
        ({"region": {"inside": []}}, "needs its frame"),
        ({"region": {"frame": [9, 9]}, "crop": [1, 2]}, "crop is"),
        ({"align": {"reference": "golden.png"}, "crop": "region"}, "no region to crop to"),
    ],
)
def test_a_plan_that_is_none_is_refused_with_a_sentence(tmp_path, plan, reason):
    with pytest.raises(ValueError, match=reason):
        read_preprocess(written(tmp_path, plan))


def test_a_missing_picture_is_said_to_be_missing(tmp_path):
    with pytest.raises(OSError, match=r"gone\.png"):
        read_preprocess(written(tmp_path, {"align": {"reference": "gone.png"}}))
