"""A good part's picture laid onto the picture of the part in question, so that both can be looked at in one frame."""

from typing import NamedTuple

import cv2
import numpy as np

from vision.images import decode
from vision.predictor import Image
from vision.preprocess.alignment import Aligner, AlignmentError, AlignmentOptions

LONGEST_PX = 2560  # of what is handed out; a viewer stretches it over the part's frame
JPEG_QUALITY = 90
_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG"
# A camera that stands still sees parts shifted and turned, never larger; what differs more is another kind of part.
_OPTIONS = AlignmentOptions(model="euclidean")


class Reference(NamedTuple):
    """A good part's picture; registered: in the frame of the part in question, pixel over pixel once stretched."""

    pixels: Image
    is_registered: bool


def laid_on(reference: Image, part: Image) -> Reference:
    """The reference moved and turned onto the part; as it is where the two do not agree well enough to be sure.

    What the reference's picture does not show is black.
    """
    try:
        matrix = Aligner(part, _OPTIONS).align(reference).matrix
    except (AlignmentError, ValueError):  # ValueError: the part's picture shows nothing to align by
        return Reference(reference, is_registered=False)
    size = (part.shape[1], part.shape[0])
    moved = cv2.warpPerspective(reference, matrix, size, flags=cv2.INTER_LINEAR)
    return Reference(np.asarray(moved, np.uint8), is_registered=True)


def decode_reduced(content: bytes, *, width: int, height: int, max_pixels: int) -> Image:
    """A picture of at most LONGEST_PX a side, from bytes whose size the door of `vision.images` has read before.

    A JPEG is decoded at a half, a quarter or an eighth of its size, and a PNG by the faster library. For looking only:
    nothing is measured in it. Raises ImageError where the bytes are no usable picture.
    """
    way = cv2.IMREAD_COLOR
    if content.startswith(_JPEG):
        way = next(
            (way for factor, way in _REDUCED.items() if max(width, height) <= LONGEST_PX * factor), way
        )
    picture = None
    if content.startswith((_JPEG, _PNG)) and width * height <= max_pixels:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), way)
    if picture is None:
        return _shrunk(decode(content, max_pixels=max_pixels))
    return _shrunk(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8))


def to_jpeg(pixels: Image) -> bytes:
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not done:
        raise ValueError("The reference picture could not be encoded.")
    return encoded.tobytes()


def _shrunk(pixels: Image) -> Image:
    factor = LONGEST_PX / max(pixels.shape[:2])
    if factor >= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
