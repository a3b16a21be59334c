"""Decoded pixels handed from the capture to the worker through shared memory, so that no image is decoded twice.

Only a shortcut: whoever finds nothing here decodes the stored bytes. The pixels come from the very bytes that were
hashed at the capture; the worker still compares the stored file with that hash before it decides.
"""

import contextlib
import hashlib
import logging
import os
import secrets
import time
from pathlib import Path

import numpy as np
from django.conf import settings

from vision.predictor import Image

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - memory, not a disk; our folder in it is private
MOST_BYTES = 512 * 2**20
LASTS_S = 60.0
_HEADER = np.dtype("<u4")  # height, width
_log = logging.getLogger(__name__)


def offer(sha256: str, pixels: Image) -> bool:
    """Leave the decoded picture for the worker on this machine; False where there is no room."""
    folder = _folder()
    if folder is None:
        return False
    temporary = folder / f".{sha256}.{secrets.token_hex(4)}"
    try:
        if not _has_room(folder, pixels.nbytes):
            return False
        with temporary.open("wb") as file:
            file.write(np.array(pixels.shape[:2], _HEADER).tobytes())
            file.write(np.ascontiguousarray(pixels).data)
        temporary.replace(folder / sha256)
    except OSError as problem:
        _log.debug("pixels of %s were not shared: %s", sha256, problem)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        return False
    return True


def take(sha256: str) -> Image | None:
    """The decoded picture, once; None if nobody left it here."""
    folder = _folder()
    if folder is None:
        return None
    path = folder / sha256
    try:
        content = path.read_bytes()
        path.unlink()
    except OSError:
        return None
    height, width = (int(number) for number in np.frombuffer(content, _HEADER, count=2))
    pixels = np.frombuffer(content, np.uint8, offset=2 * _HEADER.itemsize)
    if pixels.size != height * width * 3:
        return None
    return pixels.reshape(height, width, 3)


def _folder() -> Path | None:
    """Private to this installation's user and data folder; None on a system without such memory."""
    if not SHARED_MEMORY.is_dir():
        return None
    name = hashlib.sha256(str(settings.DATA_DIR).encode()).hexdigest()[:16]
    folder = SHARED_MEMORY / f"secondlook-{os.getuid()}-{name}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            return None
    except OSError:
        return None
    return folder


def _has_room(folder: Path, wanted: int) -> bool:
    """Drops what nobody took for a minute; an image that the worker never asked for must not stay for ever."""
    used, now = wanted, time.time()
    for entry in os.scandir(folder):
        with contextlib.suppress(OSError):
            seen = entry.stat()
            if now - seen.st_mtime > LASTS_S:
                Path(entry.path).unlink(missing_ok=True)
            else:
                used += seen.st_size
    return used <= MOST_BYTES
