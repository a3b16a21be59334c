"""How the tiles of images become calls, so that the company of an image never changes its bits.

A kernel may sum in another order when the batch has another size. So a CPU takes each image by itself (as fast there),
and a GPU takes batches of one fixed size, filled up with zeros: a lone part and a full batch run the same kernels.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch

from vision.runtime.engine import OutOfMemoryError, Raw, Tiles

_log = logging.getLogger(__name__)

TILES_A_CALL = (
    8  # of one image on a CPU: more are no faster, and bound the memory of an image cut into hundreds
)
FIXED_BATCH = (
    16  # on a GPU: large enough to fill it with small tiles, small enough for a lone part's cycle time
)
_SAYS_OUT_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "failed to allocate",
    "bad_alloc",
    "bad allocation",
)

Answer = TypeVar("Answer")


def one_image_a_call(images: Sequence[Tiles], call: Callable[[Tiles], Raw]) -> list[Raw]:
    """Run each image's tiles by themselves, at most TILES_A_CALL at once, fewer where memory runs out.

    call  TxCxHxW -> the outputs, each with T first
    """
    size = TILES_A_CALL
    raws = []
    for tiles in images:
        raw, size = run_halving(size, lambda size, tiles=tiles: _in_pieces(tiles, call, size=size))  # type: ignore[misc]
        raws.append(raw)
    return raws


def in_fixed_batches(images: Sequence[Tiles], call: Callable[[list[Tiles]], Raw], *, size: int) -> list[Raw]:
    """Deal the tiles of all images into calls of `size` tiles; the last call may get fewer.

    call  up to `size` tiles, each CxHxW -> the outputs, each with the number of tiles first
    """
    every = [tile for tiles in images for tile in tiles]
    pieces = [call(every[start : start + size]) for start in range(0, len(every), size)]
    raws = []
    start = 0
    together = _joined(pieces) if pieces else ()
    for tiles in images:
        raws.append(tuple(output[start : start + len(tiles)] for output in together))
        start += len(tiles)
    return raws


def is_out_of_memory(error: BaseException) -> bool:
    """Each runtime says it in another way; most have no class for it."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError | OutOfMemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _SAYS_OUT_OF_MEMORY)


def run_halving(
    batch: int,
    run: Callable[[int], Answer],
    *,
    out_of_memory: Callable[[BaseException], bool] = is_out_of_memory,
    release: Callable[[], None] = lambda: None,
) -> tuple[Answer, int]:
    """Run with batches of this size, and of half of it each time memory runs out; answers what came and at which size.

    release  gives back what the failed attempt still holds; called before each new attempt

    Raises OutOfMemoryError when a batch of one is too much. Any other error goes through at once.
    """
    while True:
        try:
            return run(batch), batch
        except Exception as error:
            if not out_of_memory(error):
                raise
            if batch == 1:
                raise OutOfMemoryError(
                    "The device has not enough free memory for one tile of this model. Stop other programs on it, "
                    "or use a model with smaller tiles."
                ) from error
            _log.error("out of memory with %d tiles at once; trying %d: %s", batch, batch // 2, error)
        # Outside the except block: while the error lives, its traceback holds the tensors of the attempt.
        batch //= 2
        release()


def _in_pieces(tiles: Tiles, call: Callable[[Tiles], Raw], *, size: int) -> Raw:
    return _joined([call(tiles[start : start + size]) for start in range(0, len(tiles), size)])


def _joined(pieces: list[Raw]) -> Raw:
    if len(pieces) == 1:
        return pieces[0]
    return tuple(np.concatenate(several) for several in zip(*pieces, strict=True))
