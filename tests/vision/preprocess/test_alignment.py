"""Alignment: a part in another place and light is brought back; what is no such part is refused."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vision.preprocess.pictures import FLANGE, bracket, error_px, motion, seen, soft_pad
from vision.preprocess.alignment import Aligner, AlignmentError, AlignmentOptions
from vision.preprocess.motion import Motion, as_model, best_similarity, inverse, mapped
from vision.synthetic import render_part

cv2.setNumThreads(1)


@pytest.fixture(scope="module")
def aligners():
    return {
        name: {
            model: Aligner(picture, AlignmentOptions(model=model))
            for model in ("homography", "similarity", "euclidean")
        }
        for name, picture in (("flange", FLANGE), ("bracket", bracket()))
    }


@pytest.mark.parametrize("part", ["flange", "bracket"])
@pytest.mark.parametrize(
    ("model", "moved", "light"),
    [
        ("similarity", {"turn_deg": 10, "shift": (0.05, -0.05), "scale": 1.03}, {"gain": 0.7, "noise": 4}),
        ("similarity", {"turn_deg": -10, "shift": (-0.05, 0.05), "scale": 0.97}, {"gamma": 1.4, "noise": 4}),
        ("similarity", {"turn_deg": 3}, {"gain": 1.2, "gamma": 0.8, "noise": 8}),
        ("homography", {"turn_deg": -8, "shift": (0.03, 0.04), "slant": 0.015}, {"gain": 0.8, "noise": 4}),
        ("homography", {"turn_deg": 10, "scale": 1.03, "slant": 0.01}, {"gamma": 0.75, "noise": 4}),
        ("euclidean", {"turn_deg": 10, "shift": (0.05, -0.03)}, {"gain": 0.7, "gamma": 1.2, "noise": 4}),
    ],
)
def test_a_known_motion_is_undone_to_below_one_pixel(aligners, part, model, moved, light):
    reference = FLANGE if part == "flange" else bracket()
    matrix = motion(512, **moved, rng=np.random.default_rng(3))
    found = aligners[part][model].align(seen(reference, matrix, **light))
    assert error_px(found.matrix, inverse(matrix), 512) < 1
    assert found.method == "corners"
    assert found.agreement > 0.8


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    st.floats(-10, 10),
    st.floats(-0.05, 0.05),
    st.floats(-0.05, 0.05),
    st.floats(0.97, 1.03),
    st.integers(1, 99),
)
def test_another_flange_of_the_same_type_is_aligned_too(turn_deg, x, y, scale, seed):
    """Its grooves and grain differ; its own place differs by a known pose that rendering draws first."""
    matrix = motion(512, turn_deg=turn_deg, shift=(x, y), scale=scale)
    aligner = Aligner(FLANGE, AlignmentOptions())
    found = aligner.align(seen(render_part(np.random.default_rng(seed))[0], matrix, noise=3))
    assert error_px(found.matrix, _pose(0) @ inverse(_pose(seed)) @ inverse(matrix), 512) < 1.5


def test_the_alignment_says_what_moved(aligners):
    found = aligners["bracket"]["similarity"].align(
        seen(bracket(), motion(512, turn_deg=7, shift=(0.04, 0), scale=1.02))
    )
    assert found.motion.turn_deg == pytest.approx(7, abs=0.2)
    assert found.motion.scale == pytest.approx(1.02, abs=0.003)
    assert found.motion.shift_share == pytest.approx(0.04, abs=0.003)
    assert found.motion.perspective_share == pytest.approx(0, abs=1e-6)
    assert found.inliers >= 15


def test_without_refinement_the_corners_alone_align():
    aligner = Aligner(FLANGE, AlignmentOptions(refine=False))
    matrix = motion(512, turn_deg=6, shift=(0.02, 0.03))
    assert error_px(aligner.align(seen(FLANGE, matrix, noise=3)).matrix, inverse(matrix), 512) < 2


@pytest.mark.parametrize("turn_deg", [0, 9, -14])
def test_a_part_without_corners_is_aligned_by_its_grey_values(turn_deg):
    pad = soft_pad()
    matrix = motion(384, turn_deg=turn_deg, shift=(0.04, -0.03), scale=1.02)
    found = Aligner(pad, AlignmentOptions()).align(seen(pad, matrix, gain=0.8, noise=2))
    assert found.method == "grey values"
    assert error_px(found.matrix, inverse(matrix), 384) < 1


def test_a_picture_of_another_size_is_aligned(aligners):
    wider = cv2.copyMakeBorder(bracket(), 30, 10, 20, 60, cv2.BORDER_REPLICATE)
    found = aligners["bracket"]["similarity"].align(wider)
    assert error_px(found.matrix, np.array([[1, 0, -20], [0, 1, -30], [0, 0, 1.0]]), 512) < 1


@pytest.mark.parametrize(
    "picture",
    [
        np.full((512, 512, 3), 128, np.uint8),
        np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8),
        FLANGE,
        np.ascontiguousarray(bracket()[:, ::-1]),
        np.ascontiguousarray(bracket()[::-1]),
        np.ascontiguousarray(np.rot90(bracket(), 2)),
    ],
    ids=["blank", "noise", "another part", "mirrored", "mirrored upside down", "upside down"],
)
@pytest.mark.parametrize("model", ["similarity", "homography"])
def test_what_does_not_lie_on_the_reference_is_refused(aligners, model, picture):
    with pytest.raises(AlignmentError, match=r"\.$"):
        aligners["bracket"][model].align(picture)


@pytest.mark.parametrize(
    ("moved", "options", "reason"),
    [
        ({"turn_deg": 12}, {"most_turn_deg": 8}, "turned by 12"),
        ({"shift": (0.1, 0)}, {"most_shift": 0.05}, "off its place"),
        ({"scale": 1.08}, {"most_scale": 0.03}, "as large as on the reference"),
        ({"slant": 0.05}, {"model": "homography", "most_perspective": 0.005}, "at a slant"),
        ({}, {"lowest_agreement": 0.9999}, "agrees with it to"),
    ],
)
def test_a_part_beyond_a_limit_is_refused_with_the_limit(moved, options, reason):
    picture = seen(bracket(), motion(512, **moved, rng=np.random.default_rng(1)), noise=4)
    with pytest.raises(AlignmentError, match=reason):
        Aligner(bracket(), AlignmentOptions(**options)).align(picture)


def test_the_same_picture_gives_the_same_bits_whatever_ran_before_and_on_any_number_of_threads():
    picture = seen(FLANGE, motion(512, turn_deg=5, slant=0.01, rng=np.random.default_rng(2)), noise=4)
    soft = seen(soft_pad(), motion(384, turn_deg=5), noise=2)
    found, by_grey = set(), set()
    threads = cv2.getNumThreads()
    try:
        for count, seed in ((1, 0), (2, 1), (4, 77), (1, 12345)):
            cv2.setNumThreads(count)
            cv2.setRNGSeed(seed)
            aligner = Aligner(FLANGE, AlignmentOptions(model="homography"))
            found |= {aligner.align(picture).matrix.tobytes() for _ in range(2)}
            by_grey.add(Aligner(soft_pad(), AlignmentOptions()).align(soft).matrix.tobytes())
    finally:
        cv2.setNumThreads(threads)
    assert (len(found), len(by_grey)) == (1, 1)


def test_aligning_changes_neither_picture_nor_reference():
    reference, picture = soft_pad(), seen(soft_pad(), motion(384, turn_deg=4))
    before = reference.copy(), picture.copy()
    aligner = Aligner(reference, AlignmentOptions())
    first = aligner.align(picture).matrix
    assert np.array_equal(aligner.align(picture).matrix, first)
    assert np.array_equal(reference, before[0])
    assert np.array_equal(picture, before[1])


def test_a_fixture_that_stays_does_not_hold_the_alignment():
    """The part moves over a still, patterned table: only its own pixels say where it lies."""
    table = np.random.default_rng(8).integers(0, 120, (64, 64, 3)).astype(np.uint8)
    table = cv2.resize(table, (512, 512), interpolation=cv2.INTER_NEAREST)
    part, on = bracket(), np.zeros((512, 512), np.uint8)
    cv2.fillPoly(
        on, [(np.array([[2, 2], [7, 2], [7, 9], [14, 9], [14, 14], [2, 14]]) * 32).astype(np.int32)], 255
    )

    def laid(matrix):
        moved, where = (cv2.warpPerspective(each, matrix, (512, 512)) for each in (part, on))
        return np.where(where[:, :, None] > 127, moved, table)

    matrix = motion(512, turn_deg=4, shift=(0.02, 0.01))
    aligner = Aligner(laid(np.eye(3)), AlignmentOptions(), where=on > 0)
    assert error_px(aligner.align(laid(matrix)).matrix, inverse(matrix), 512) < 1


def test_a_reference_that_shows_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing to align by"):
        Aligner(np.full((64, 64, 3), 9, np.uint8), AlignmentOptions())
    with pytest.raises(ValueError, match="pixels to align by"):
        Aligner(FLANGE, AlignmentOptions(), where=np.zeros((512, 512), np.bool_))


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "affine"},
        {"most_turn_deg": 181},
        {"most_shift": float("nan")},
        {"fewest_inliers": 3},
        {"lowest_agreement": 0.0},
    ],
)
def test_limits_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError):
        AlignmentOptions(**wrong)


def test_a_folded_or_mirrored_frame_is_no_motion():
    for matrix in (
        np.diag([-1.0, 1, 1]),
        np.diag([1.0, 1, 0]),
        np.array([[1, 0, 0], [0, 1, 0], [0.02, 0, -1.0]]),
    ):
        with pytest.raises(ValueError, match="folded"):
            Motion.of(matrix, height=100, width=100)


@settings(max_examples=30, deadline=None)
@given(st.floats(-180, 180), st.floats(0.2, 5), st.floats(-100, 100), st.floats(-100, 100))
def test_the_best_similarity_finds_the_motion_that_made_the_points(turn_deg, scale, x, y):
    matrix = motion(100, turn_deg=turn_deg, shift=(x / 100, y / 100), scale=scale)
    points = np.random.default_rng(0).uniform(0, 100, (20, 2))
    assert np.allclose(best_similarity(points, mapped(matrix, points)), matrix, atol=1e-6)
    assert np.allclose(as_model(matrix, model="similarity", shape=(100, 100)), matrix, atol=1e-6)


def _pose(seed):
    """Part coordinates of the rendered flange to pixels."""
    rng = np.random.default_rng(seed)
    dx, dy, scale, turn = (
        rng.normal(0, 0.006),
        rng.normal(0, 0.006),
        1 + rng.normal(0, 0.005),
        rng.normal(0, 0.03),
    )
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    to_px = np.array([[256, 0, 255.5], [0, 256, 255.5], [0, 0, 1.0]])
    return to_px @ np.array([[cos, -sin, dx], [sin, cos, dy], [0, 0, 1]])
