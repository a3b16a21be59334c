"""Painted masks as files: read strictly, stored once under their sha256, checked on every read."""

import hashlib
from typing import Protocol

import cv2
import numpy as np

from inspection import storage
from vision.images import decode
from vision.predictor import Mask


class MaskError(ValueError):
    """This is no mask for that picture; the message says why."""


class HasMask(Protocol):
    """A row that names the mask of its picture; both are "" where nobody painted it."""

    mask_file: str
    mask_sha256: str


def read_mask(data: bytes, *, height: int, width: int) -> Mask:
    """The painted pixels of a picture of this size: those lighter than middle grey.

    Raises ImageError for bytes that are no picture, MaskError for another size or if nothing is painted.
    """
    mask: Mask = decode(data)[:, :, 0] > 127
    if mask.shape != (height, width):
        raise MaskError(
            f"The mask has {mask.shape[1]}x{mask.shape[0]} pixels, its picture {width}x{height}. "
            f"It must be painted on the picture itself."
        )
    if not mask.any():
        raise MaskError("Nothing is painted. A bad part's mask marks where the defect is.")
    return mask


def keep_mask(mask: Mask) -> tuple[str, str]:
    """Store the mask durably; (its file, its sha256). The same pixels are the same file, whoever painted them."""
    _, encoded = cv2.imencode(".png", mask.astype(np.uint8) * 255)
    data = encoded.tobytes()
    sha256 = hashlib.sha256(data).hexdigest()
    return storage.write(f"masks/{sha256[:2]}/{sha256}.png", data), sha256


def mask_bytes(row: HasMask) -> bytes | None:
    """The row's mask as PNG, white where painted; None where nobody painted it.

    Raises MaskError if the stored file is not the one that the row names.
    """
    if not row.mask_sha256:
        return None
    data = storage.read(row.mask_file)
    if hashlib.sha256(data).hexdigest() != row.mask_sha256:
        raise MaskError(f"The stored mask {row.mask_file} does not match its sha256. It was not used.")
    return data


def mask_of(row: HasMask) -> Mask | None:
    """The row's painted pixels; None where nobody painted them. Raises MaskError as `mask_bytes` does."""
    data = mask_bytes(row)
    return None if data is None else np.asarray(decode(data)[:, :, 0] > 127)
