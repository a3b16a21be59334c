"""Two networks with input sizes of their own behind one engine: their tiles travel in one array, each to its own."""

from collections.abc import Sequence

import numpy as np

from vision.runtime.engine import Raw, Tiles
from vision.staged import Staged

_HEADER = 8  # the shapes of both arrays of tiles; whole numbers this small are exact in float32


def pack(first: Tiles, second: Tiles) -> Tiles:
    """Both arrays as one, 1x1x1xK."""
    shapes = np.array([*first.shape, *second.shape], np.float32)
    return np.concatenate([shapes, first.ravel(), second.ravel()]).reshape(1, 1, 1, -1)


def unpack(packed: Tiles) -> tuple[Tiles, Tiles]:
    flat = packed.ravel()
    shapes = flat[:_HEADER].astype(np.int64)
    end = _HEADER + int(np.prod(shapes[:4]))
    return flat[_HEADER:end].reshape(shapes[:4]), flat[end:].reshape(shapes[4:])


def unpack_raw(raw: Raw) -> tuple[Raw, Raw]:
    """Each member's own answer; the first array says how many of them are the first member's."""
    count = int(raw[0][0])
    return raw[1 : 1 + count], raw[1 + count :]


class PairEngine:
    """Runs the members' engines as they are at that moment: a faster one put into a member is used at once.

    second  None where there is but one member; then tiles and answers are its own, not packed
    """

    def __init__(self, first: Staged, second: Staged | None) -> None:
        self._first, self._second = first, second
        self.name = "each member's own engine"

    def run(self, tiles: Sequence[Tiles]) -> list[Raw]:
        if self._second is None:
            return self._first.engine.run(tiles)
        both = [unpack(each) for each in tiles]
        ours = self._first.engine.run([first for first, _ in both])
        theirs = self._second.engine.run([second for _, second in both])
        return [
            (np.array([len(one)], np.float32), *one, *other) for one, other in zip(ours, theirs, strict=True)
        ]
