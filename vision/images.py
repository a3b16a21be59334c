"""The only door for received bytes: a whole, still picture of a sane size comes out, or an ImageError."""

import io
import warnings
from typing import Literal

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from vision.predictor import Image

MAX_PIXELS = 50_000_000  # above the largest industrial area cameras; a line sets its own
_FORMATS = ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM"]

Code = Literal["empty", "not_an_image", "truncated", "too_large", "unsupported_mode"]


class ImageError(ValueError):
    """These bytes are no usable picture. `code` is for programs, the message for people."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


def decode(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Turn received bytes into HxWx3 uint8 RGB, upright as EXIF says.

    max_pixels  refused by the header's word, before any pixel is decoded

    Grey, palette, CMYK and 16-bit pictures are converted; 16-bit is scaled, so 65535 becomes 255.
    Transparent pixels are laid over black, as a part under a dark field.
    Raises ImageError: empty, not_an_image, truncated, too_large, unsupported_mode (moving pictures too).
    """
    if not content:
        raise ImageError("empty", "The image file is empty.")
    picture = _open(content)
    width, height = picture.size
    if width * height > max_pixels:
        raise ImageError(
            "too_large", f"The image has {width}x{height} pixels; at most {max_pixels} are allowed here."
        )
    # Pillow's verify() misses cut JPEG and TIFF files; load() reads every pixel.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # notes on odd metadata; the pixels are judged by load() itself
            frames = getattr(picture, "n_frames", 1)
            picture.load()
            upright = PIL.ImageOps.exif_transpose(picture)
    except MemoryError:
        raise
    except Exception as error:
        # Damaged files make Pillow's format plugins raise almost anything; whatever it is, the part is held.
        raise ImageError("truncated", f"The image cannot be read to its end: {error}.") from error
    if frames != 1:
        raise ImageError("unsupported_mode", "The file holds several frames; one part is one still picture.")
    return _to_rgb(upright)


def _open(content: bytes) -> PIL.Image.Image:
    try:
        with warnings.catch_warnings():
            # Our own max_pixels decides below; Pillow's guard stays as it is for everybody else.
            warnings.simplefilter("ignore")
            return PIL.Image.open(io.BytesIO(content), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError("not_an_image", "These bytes are not a picture in a known format.") from error
    except PIL.Image.DecompressionBombError as error:
        raise ImageError("too_large", f"The image is far too large: {error}.") from error
    except MemoryError:
        raise
    except Exception as error:
        raise ImageError("truncated", f"The image's header cannot be read: {error}.") from error


def _to_rgb(picture: PIL.Image.Image) -> Image:
    mode = picture.mode
    if mode.startswith("I;16") or mode == "I":
        return _grey_to_rgb(_sixteen_to_eight(np.asarray(picture)))
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or (mode == "P" and "transparency" in picture.info):
        picture = picture.convert("RGBA")
        black = PIL.Image.new("RGBA", picture.size, (0, 0, 0, 255))
        return np.array(PIL.Image.alpha_composite(black, picture).convert("RGB"))
    if mode in ("1", "L", "P", "RGB", "CMYK", "YCbCr"):
        return np.array(picture.convert("RGB"))
    raise ImageError(
        "unsupported_mode", f"Pictures of mode {mode} are not supported; send 8 or 16 bit grey or RGB."
    )


def _sixteen_to_eight(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Divide by 257, rounded: 0..65535 becomes 0..255 with the contrast kept and nothing saturated."""
    wide = values.astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise ImageError("unsupported_mode", "The picture has grey values beyond 16 bit.")
    return ((wide + 128) // 257).astype(np.uint8)


def _grey_to_rgb(grey: NDArray[np.uint8]) -> Image:
    return np.repeat(grey[:, :, None], 3, axis=2)
