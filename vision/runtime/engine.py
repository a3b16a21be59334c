"""The one protocol of every runtime: tiles in, what the network says of them out."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Tiles = NDArray[np.float32]  # TxCxHxW: one image, cut into T tiles of the network's fixed size
Raw = tuple[NDArray[np.float32], ...]  # the network's outputs for one image, each with T first


class EngineError(RuntimeError):
    """The runtime could not run the network; the message is a sentence for the operator."""


class OutOfMemoryError(EngineError):
    """Not even one tile fits beside what the device holds already."""


@runtime_checkable
class Engine(Protocol):
    """Runs one network on one device.

    An engine that takes several tiles in one call says how many in an attribute `batch`; without it each image is a
    call of its own, and nobody need wait for company.
    """

    name: str

    def run(self, tiles: Sequence[Tiles]) -> list[Raw]:
        """One answer an image. Its bits never depend on the images beside it.

        Raises EngineError where the runtime fails, OutOfMemoryError where one tile alone is too much.
        """
        ...
