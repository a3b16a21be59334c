import cv2
import numpy as np
import pytest

from vision.images import ImageError
from vision.reference import LONGEST_PX, decode_reduced, laid_on, to_jpeg
from vision.synthetic import render_part


def encoded(pixels, kind=".jpg"):
    return cv2.imencode(kind, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()


def decoded(content, pixels, **limits):
    return decode_reduced(
        content, width=pixels.shape[1], height=pixels.shape[0], **{"max_pixels": 60_000_000, **limits}
    )


def moved(pixels, *, shift, turn_deg):
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn_deg, 1)
    matrix[:, 2] += shift
    return cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def test_the_reference_comes_to_lie_on_the_part_that_is_shifted_and_turned():
    good = render_part(np.random.default_rng(1))[0]
    part = moved(good, shift=(14, -9), turn_deg=4)
    laid = laid_on(good, part)
    assert laid.is_registered
    assert laid.pixels.shape == part.shape
    inside = np.s_[80:-80, 80:-80]
    apart = np.abs(laid.pixels[inside].astype(int) - part[inside]).mean()
    before = np.abs(good[inside].astype(int) - part[inside]).mean()
    assert apart < 2
    assert before > 3 * apart


def test_a_reference_of_another_size_fills_the_frame_of_the_part():
    good = render_part(np.random.default_rng(1))[0]
    laid = laid_on(cv2.copyMakeBorder(good, 4, 4, 6, 6, cv2.BORDER_REFLECT), good)
    assert laid.is_registered
    assert laid.pixels.shape == good.shape


@pytest.mark.parametrize(
    "part",
    [
        np.full((256, 256, 3), 128, np.uint8),
        np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8),
    ],
    ids=["nothing to see", "something else"],
)
def test_what_does_not_lie_on_the_part_is_shown_as_it_is(part):
    good = render_part(np.random.default_rng(1))[0]
    laid = laid_on(good, part)
    assert not laid.is_registered
    assert laid.pixels is good


@pytest.mark.parametrize(
    ("side", "shown"), [(600, 600), (LONGEST_PX, LONGEST_PX), (4000, 2000), (LONGEST_PX * 2, LONGEST_PX)]
)
@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_a_picture_is_shown_at_a_size_that_a_screen_can_use(side, shown, kind):
    pixels = np.zeros((side // 8, side, 3), np.uint8)
    pixels[:, side // 2 :, 0] = 200  # red on the right: neither the colours nor the sides may change places
    small = decoded(encoded(pixels, kind), pixels)
    if kind == ".png" and side > LONGEST_PX:
        shown = LONGEST_PX
    assert small.shape[1] == shown
    assert small[10, -10, 0] > 190
    assert small[10, -10, 2] < 30
    assert small[10, 10].max() < 20


def test_bytes_that_are_no_picture_and_pictures_that_are_too_large_are_refused():
    pixels = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ImageError):
        decoded(encoded(pixels)[:100], pixels)
    with pytest.raises(ImageError, match="64x64"):
        decoded(encoded(pixels), pixels, max_pixels=1_000)


def test_a_grey_tiff_is_shown_too():
    ramp = np.tile(np.arange(0, 250, 2, dtype=np.uint8), (50, 1))
    content = cv2.imencode(".tiff", ramp)[1].tobytes()
    small = decoded(content, ramp)
    assert small.shape == (50, 125, 3)
    assert abs(int(small[20, 100, 1]) - 200) <= 1


def test_it_is_handed_out_as_a_jpeg_in_its_own_colours():
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[..., 0] = 220
    content = to_jpeg(pixels)
    assert content.startswith(b"\xff\xd8\xff")
    assert decoded(content, pixels)[16, 16, 0] > 200
