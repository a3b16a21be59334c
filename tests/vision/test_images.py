"""The door for received bytes: what comes in, what stays out, and why."""

import io

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.images import ImageError, decode

RAMP = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def colour_picture():
    return PIL.Image.fromarray(np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=2))


def refusal(content, **limits):
    with pytest.raises(ImageError) as raised:
        decode(content, **limits)
    return raised.value.code


def test_a_png_comes_out_pixel_for_pixel():
    assert np.array_equal(decode(encoded(colour_picture())), np.asarray(colour_picture()))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "BMP", "WEBP", "PPM"])
def test_the_usual_formats_are_read(kind):
    image = decode(encoded(colour_picture(), kind))
    assert (image.shape, image.dtype) == ((48, 64, 3), np.uint8)
    assert np.abs(image.astype(int) - np.asarray(colour_picture()).astype(int)).mean() < 6


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_common_mode_becomes_rgb(mode):
    picture = colour_picture().convert(mode)
    image = decode(encoded(picture, "TIFF" if mode == "CMYK" else "PNG"))
    assert (image.shape, image.dtype) == ((48, 64, 3), np.uint8)
    assert image.flags.writeable


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_never_saturated(kind):
    deep = PIL.Image.fromarray(RAMP.astype(np.uint16) * 257)
    assert np.array_equal(decode(encoded(deep, kind))[:, :, 0], RAMP)


def test_a_picture_lying_on_its_side_is_set_upright():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    image = decode(encoded(colour_picture(), "PNG", exif=exif))
    assert np.array_equal(image, np.rot90(np.asarray(colour_picture()), 3))


def test_transparent_pixels_become_black():
    clear = PIL.Image.new("RGBA", (4, 4), (255, 255, 255, 0))
    assert decode(encoded(clear)).max() == 0


def test_no_bytes_are_empty():
    assert refusal(b"") == "empty"


@pytest.mark.parametrize(
    "content", [b"hello", b"%PDF-1.7 ...", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\0" * 100]
)
def test_what_is_no_picture_is_said_to_be_none(content):
    assert refusal(content) == "not_an_image"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_file_is_truncated(kind, share):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    content = encoded(PIL.Image.fromarray(noise), kind)
    assert refusal(content[: int(len(content) * share)]) in ("truncated", "not_an_image")


def test_too_many_pixels_are_refused_before_they_are_decoded():
    assert refusal(encoded(colour_picture()), max_pixels=48 * 64 - 1) == "too_large"
    assert decode(encoded(colour_picture()), max_pixels=48 * 64).shape == (48, 64, 3)


def test_a_bomb_is_too_large_and_the_guard_stays_on():
    before = PIL.Image.MAX_IMAGE_PIXELS
    assert refusal(encoded(PIL.Image.new("1", (20_000, 20_000)))) == "too_large"
    assert before == PIL.Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_moving_pictures_are_refused(kind):
    second = PIL.Image.fromarray(255 - np.asarray(colour_picture()))
    assert (
        refusal(encoded(colour_picture(), kind, save_all=True, append_images=[second])) == "unsupported_mode"
    )


def test_gif_is_not_accepted_at_all():
    assert refusal(encoded(colour_picture().convert("P"), "GIF")) == "not_an_image"


def test_floating_point_pictures_are_refused():
    assert refusal(encoded(PIL.Image.fromarray(RAMP.astype(np.float32)), "TIFF")) == "unsupported_mode"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_give_a_picture_or_an_image_error_and_nothing_else(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "WEBP"]))
    content = bytearray(encoded(colour_picture(), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode(bytes(content), max_pixels=1_000_000)
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
