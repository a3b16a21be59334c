"""ONNX Runtime: the exported network on the CPU, and by CUDA or TensorRT where its build has them."""

from collections.abc import Sequence

import numpy as np
import onnxruntime
import torch

from vision.runtime.batches import (
    FIXED_BATCH,
    in_fixed_batches,
    is_out_of_memory,
    one_image_a_call,
    run_halving,
)
from vision.runtime.engine import EngineError, OutOfMemoryError, Raw, Tiles

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
# Nothing here may choose by timing or trade bits for speed: the same file gives the same bits in every process.
_PROVIDER_OPTIONS = {
    CPU: {},
    CUDA: {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"},
    TENSORRT: {"trt_fp16_enable": "0", "trt_timing_cache_enable": "1"},
}
_SHORT = {CPU: "ONNX Runtime on cpu", CUDA: "ONNX Runtime on cuda", TENSORRT: "TensorRT"}


class OnnxEngine:
    """A network that `vision.runtime.export` has written, with one input and a free first dimension.

    content   the ONNX file
    provider  what runs it; raises EngineError where this build of ONNX Runtime cannot

    Raises EngineError for a graph that ONNX Runtime does not take.
    """

    def __init__(
        self, content: bytes, *, provider: str = CPU, name: str = "", batch: int = FIXED_BATCH
    ) -> None:
        self.name = name or engine_name(provider)
        self._batch = batch
        self._is_on_cpu = provider == CPU
        try:
            self._session = onnxruntime.InferenceSession(
                content, session_options(), providers=[(provider, _PROVIDER_OPTIONS[provider])]
            )
        except Exception as error:  # ONNX Runtime raises a class of its own for each kind of trouble
            raise EngineError(f"{self.name} does not take this network: {_first_line(error)}") from error
        if (
            self._session.get_providers()[0] != provider
        ):  # it falls back to the CPU with no more than a log line
            raise EngineError(f"{self.name} did not start; its libraries are not complete on this machine.")
        self._input = self._session.get_inputs()[0].name

    @property
    def batch(self) -> int:
        """Tiles that one call runs together."""
        return 1 if self._is_on_cpu else self._batch

    def run(self, tiles: Sequence[Tiles]) -> list[Raw]:
        if self._is_on_cpu:
            return one_image_a_call(tiles, self._call)
        raws, self._batch = run_halving(
            self._batch,
            lambda size: in_fixed_batches(tiles, lambda few: self._padded(few, size), size=size),
        )
        return raws

    def _padded(self, tiles: list[Tiles], size: int) -> Raw:
        batch = np.zeros((size, *tiles[0].shape), dtype=np.float32)
        for place, tile in enumerate(tiles):
            batch[place] = tile
        return tuple(output[: len(tiles)] for output in self._call(batch))

    def _call(self, tiles: Tiles) -> Raw:
        try:
            outputs = self._session.run(None, {self._input: np.ascontiguousarray(tiles)})
        except Exception as error:
            if is_out_of_memory(error):
                raise OutOfMemoryError(f"{self.name} is out of memory.") from error
            raise EngineError(f"{self.name} failed: {_first_line(error)}") from error
        return tuple(output.astype(np.float32, copy=False) for output in outputs)


def providers() -> list[str]:
    """The providers of this build that we know how to run, fastest hope first."""
    there = onnxruntime.get_available_providers()
    return [provider for provider in (TENSORRT, CUDA, CPU) if provider in there]


def engine_name(provider: str) -> str:
    """What the operator reads."""
    return _SHORT[provider]


def session_options() -> onnxruntime.SessionOptions:
    """One fixed configuration: the same file on the same machine always gives the same bits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # follows OMP_NUM_THREADS
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    # A waiting thread that spins takes the core from the process it waits for (docs/performance.md, "Runtimes").
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
