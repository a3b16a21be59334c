"""The network as torch runs it: the reference that every other runtime is held against."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vision.runtime.batches import is_out_of_memory, one_image_a_call
from vision.runtime.engine import Engine, EngineError, Raw, Tiles


class TorchEngine:
    """Channels last, no autograd, one image a call."""

    def __init__(self, network: nn.Module, *, device: str) -> None:
        self.name = f"torch on {device}"
        self._network = network
        self._device = device

    def run(self, tiles: Sequence[Tiles]) -> list[Raw]:
        return one_image_a_call(tiles, self._call)

    @torch.inference_mode()
    def _call(self, tiles: Tiles) -> Raw:
        with torch_errors(self.name):
            batch = torch.from_numpy(tiles).to(self._device).contiguous(memory_format=torch.channels_last)
            return tuple(output.float().cpu().numpy() for output in outputs_of(self._network(batch)))


@contextmanager
def torch_errors(name: str) -> Iterator[None]:
    """Torch says everything by RuntimeError; the worker wants to know that it was the engine, and of memory by itself."""
    try:
        yield
    except EngineError:
        raise
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise EngineError(f"{name} failed: {str(error).strip().split(chr(10), 1)[0]}") from error


def outputs_of(answer: Any) -> tuple[Tensor, ...]:
    """A network may answer one tensor or several."""
    return (answer,) if isinstance(answer, Tensor) else tuple(answer)


def reference_engine(network: nn.Module, *, device: str, is_static: bool) -> Engine:
    """What runs a network before anything was measured.

    is_static  its control flow does not depend on the data, so that CUDA may record it once and replay it
    """
    if is_static and device.startswith("cuda"):
        from vision.runtime.cuda_engine import CudaEngine  # only where there is a GPU to speak of

        return CudaEngine(network, device=device)
    return TorchEngine(network, device=device)
