"""torch on a GPU: one fixed batch, recorded once as a CUDA graph and replayed for every batch after it.

A small network is a hundred kernel starts, and starting them one by one costs more than they take. The graph starts
them all at once, from and into buffers that stay where they are.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from vision.runtime.batches import FIXED_BATCH, in_fixed_batches, is_out_of_memory, run_halving
from vision.runtime.engine import Raw, Tiles
from vision.runtime.torch_engine import outputs_of, torch_errors

_log = logging.getLogger(__name__)

Precision = Literal["float32", "float16", "bfloat16"]
Shape = tuple[int, int, int, int]  # batch, channels, height, width


class Recorded(Protocol):
    """A network made ready for one batch size."""

    def __call__(self, tiles: list[Tiles]) -> Raw:
        """Up to a batch of tiles, each CxHxW -> outputs with as many rows."""
        ...


class CudaEngine:
    """Batches of one fixed size, so that a lone part runs the very kernels of a full batch.

    precision  below float32 only where `vision.runtime.choice` has found the scores the same
    batch      tiles at once; halved for good when memory runs out. Then other kernels may answer with other last bits,
               which is logged as an error: free the memory and start again
    record     makes a network ready for one batch size
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        device: str,
        precision: Precision = "float32",
        batch: int = FIXED_BATCH,
        record: Callable[..., Recorded] | None = None,
    ) -> None:
        self.name = f"torch on {device}" if precision == "float32" else f"torch {precision} on {device}"
        self._network = network
        self._device = device
        self._precision = precision
        self._batch = batch
        self._record = record or Graph
        self._recorded: dict[tuple[int, ...], Recorded] = {}
        self._weights: tuple[int, ...] = ()
        # cuBLAS sums in another order when streams share its workspace; read when its first handle is made.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        self._alone = threading.Lock()  # the buffers of a graph belong to one caller at a time

    @property
    def batch(self) -> int:
        """Tiles that one call runs together."""
        return self._batch

    def run(self, tiles: Sequence[Tiles]) -> list[Raw]:
        with self._alone:
            self._forget_moved_weights()
            raws, self._batch = run_halving(
                self._batch,
                lambda size: in_fixed_batches(tiles, lambda few: self._call(few, size), size=size),
                release=self._release,
            )
        return raws

    def _call(self, tiles: list[Tiles], size: int) -> Raw:
        shape = (size, *tiles[0].shape)
        with torch_errors(self.name):
            if shape not in self._recorded:
                self._recorded[shape] = self._record(
                    self._network, shape=shape, device=self._device, precision=self._precision
                )
            return self._recorded[shape](tiles)

    def _forget_moved_weights(self) -> None:
        """A graph reads the addresses it was recorded with; weights put elsewhere need a new one."""
        weights = tuple(
            tensor.data_ptr() for tensor in (*self._network.parameters(), *self._network.buffers())
        )
        if weights != self._weights:
            self._recorded.clear()
            self._weights = weights

    def _release(self) -> None:
        self._recorded.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class Graph:
    """One recorded batch with its buffers on the GPU and, pinned so that copies need no stopover, on the host."""

    @torch.inference_mode()
    def __init__(self, network: nn.Module, *, shape: Shape, device: str, precision: Precision) -> None:
        self._network = network
        self._precision = precision
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._given = torch.empty(shape, pin_memory=True, memory_format=torch.channels_last)
        self._batch = torch.zeros(shape, device=device).contiguous(memory_format=torch.channels_last)
        self._stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(self._stream):
            for _ in range(3):  # libraries choose their kernels and workspaces before anything is recorded
                self._outputs = self._forward()
        self._stream.synchronize()
        self._graph = self._recorded()
        self._answers = [torch.empty(output.shape, pin_memory=True) for output in self._outputs]

    @torch.inference_mode()
    def __call__(self, tiles: list[Tiles]) -> Raw:
        count = len(tiles)
        for place, tile in enumerate(tiles):
            self._given[place].numpy()[...] = tile
        with torch.cuda.stream(self._stream):
            self._batch[:count].copy_(self._given[:count], non_blocking=True)
            self._batch[count:].zero_()
            if self._graph is None:
                self._outputs = self._forward()
            else:
                self._graph.replay()
            for answer, output in zip(self._answers, self._outputs, strict=True):
                answer[:count].copy_(output[:count], non_blocking=True)
        self._stream.synchronize()
        return tuple(answer[:count].numpy().copy() for answer in self._answers)

    def _recorded(self) -> torch.cuda.CUDAGraph | None:
        """The graph, or None for a network that waits for the GPU on its way: that runs kernel by kernel."""
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: another model may answer in another thread while this one is being recorded.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._outputs = self._forward()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            _log.warning("this network cannot be recorded and runs kernel by kernel: %s", error)
            with torch.cuda.stream(self._stream):
                self._outputs = self._forward()
            return None
        return graph

    def _forward(self) -> list[Tensor]:
        with fixed_arithmetic(self._precision):
            return [output.float() for output in outputs_of(self._network(self._batch))]


@contextmanager
def fixed_arithmetic(precision: Precision) -> Iterator[None]:
    """The same kernels in every process: no timing race between algorithms, no TF32 that nobody asked for."""
    lower = None if precision == "float32" else getattr(torch, precision)
    with (
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        # Without the cache: its copies of the weights would lie in memory that the graph does not own.
        torch.autocast("cuda", dtype=lower, enabled=lower is not None, cache_enabled=False),
    ):
        yield
