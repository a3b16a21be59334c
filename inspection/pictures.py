"""Stored pictures as a browser can show them; nobody may judge a part by an image that is no longer the one taken."""

import hashlib
import io

from django.http import HttpResponse
from PIL import Image as Pillow

from inspection import storage
from inspection.models import Image
from vision.images import ImageError, decode

# What a browser can show as it is; anything else is shown as PNG, the stored bytes stay untouched.
_SHOWN_AS_IS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"RIFF": "image/webp"}


class PictureError(Exception):
    """There is no picture that could be shown, with the reason."""


def stored_bytes(image: Image) -> bytes:
    """The bytes as they came from the camera.

    Raises PictureError if they cannot be read or have changed since.
    """
    try:
        data = storage.read(image.file)
    except OSError as problem:
        raise PictureError(f"The stored image of view {image.view!r} cannot be opened.") from problem
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise PictureError(f"The stored image of view {image.view!r} does not match its sha256.")
    return data


def shown_image(image: Image, *, max_pixels: int) -> tuple[bytes, str]:
    """Bytes and media type for a browser; raises PictureError."""
    data = stored_bytes(image)
    kind = next((kind for magic, kind in _SHOWN_AS_IS.items() if data.startswith(magic)), None)
    if kind is None or image.problem:
        return _as_png(data, max_pixels), "image/png"
    return data, kind


def _as_png(data: bytes, max_pixels: int) -> bytes:
    try:
        pixels = decode(data, max_pixels=max_pixels)
    except ImageError as problem:
        raise PictureError(str(problem)) from problem
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def picture_response(data: bytes, kind: str) -> HttpResponse:
    """A picture that never changes under its address."""
    response = HttpResponse(data, content_type=kind)
    response["Cache-Control"] = "private, max-age=86400, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    return response
