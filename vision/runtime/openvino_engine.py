"""OpenVINO: the exported network on Intel's processors."""

import threading
from collections.abc import Sequence

import numpy as np
import openvino
import torch

from vision.runtime.batches import is_out_of_memory, one_image_a_call
from vision.runtime.engine import EngineError, OutOfMemoryError, Raw, Tiles


class OpenVinoEngine:
    """A network that `vision.runtime.export` has written, in float32, tuned for the answer time of one image.

    OpenVINO's clamps turn NaN into a number, which would be a score for arithmetic that broke: tiles that are not
    finite are answered with NaN here, and not run.

    Raises EngineError for a graph that OpenVINO does not take.
    """

    def __init__(self, content: bytes) -> None:
        self.name = "OpenVINO on cpu"
        try:
            core = openvino.Core()
            compiled = core.compile_model(core.read_model(content), "CPU", _configuration())
            self._request = compiled.create_infer_request()
        except Exception as error:  # RuntimeError and classes of its own
            raise EngineError(f"OpenVINO does not take this network: {_first_line(error)}") from error
        self._outputs = len(compiled.outputs)
        self._alone = threading.Lock()  # a request belongs to one caller at a time

    def run(self, tiles: Sequence[Tiles]) -> list[Raw]:
        with self._alone:
            return one_image_a_call(tiles, self._call)

    def _call(self, tiles: Tiles) -> Raw:
        is_broken = ~np.isfinite(tiles).all(axis=(1, 2, 3))
        try:
            self._request.infer({0: np.ascontiguousarray(tiles)}, share_inputs=True)
        except Exception as error:
            if is_out_of_memory(error):
                raise OutOfMemoryError("OpenVINO is out of memory.") from error
            raise EngineError(f"OpenVINO failed: {_first_line(error)}") from error
        raw = tuple(
            np.array(self._request.get_output_tensor(number).data, dtype=np.float32)
            for number in range(self._outputs)
        )
        for output in raw:
            output[is_broken] = np.nan
        return raw


def _configuration() -> dict[str, object]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # it would take bfloat16 by itself where the processor has it
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),  # follows OMP_NUM_THREADS
        # A thread bound to a core waits there while another process has it and the next core is idle
        # (docs/performance.md, "Runtimes").
        "ENABLE_CPU_PINNING": False,
    }


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
