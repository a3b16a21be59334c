"""The one protocol of every runtime: tiles in, what the network says of them out."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Tiles = NDArray[np.float32]  # TxCxHxW: one image, cut into T tiles of the network's fixed size
Raw = tuple[NDArray[np.float32], ...]  # the network's outputs for one image, each with T first


class EngineError(RuntimeError):
    """The runtime could not run the network; the message is a sentence for the operator."""


@runtime_checkable
class Engine(Protocol):
    """Runs one network on one device."""

    name: str

    def run(self, tiles: Sequence[Tiles]) -> list[Raw]:
        """One answer an image. Its bits never depend on the images beside it."""
        ...


class TorchEngine:
    """The network as torch runs it, one image a call: as fast as batches on a CPU, and no bit depends on company."""

    def __init__(self, network: nn.Module, *, device: str) -> None:
        self.name = f"torch on {device}"
        self._network = network
        self._device = device

    @torch.inference_mode()
    def run(self, tiles: Sequence[Tiles]) -> list[Raw]:
        return [self._of_one(each) for each in tiles]

    def _of_one(self, tiles: Tiles) -> Raw:
        batch = torch.from_numpy(tiles).to(self._device).contiguous(memory_format=torch.channels_last)
        outputs: Tensor | tuple[Any, ...] = self._network(batch)
        several = (outputs,) if isinstance(outputs, Tensor) else outputs
        return tuple(output.float().cpu().numpy() for output in several)
