"""The network behind `vision.appearance`: the packaged EfficientNet-Lite0 in ONNX Runtime, else in torch.

It is written as ONNX once, by a process of its own, and kept under its sha256: whoever embeds parts afterwards loads
10 MB into ONNX Runtime, which takes a third of torch's time. One thread; the same file on the same machine gives the
same bits.
"""

import hashlib
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision.appearance import INPUT_PX, LENGTH, Picture, Vectors, joined, tiles_of
from vision.runtime.engine import EngineError, Tiles

STEM = "lite0-pooled-1"
WRITING_S = 300.0
_log = logging.getLogger(__name__)

Run = Callable[[Tiles], NDArray[np.float32]]  # Tx3x224x224 -> Tx384


class Embedder:
    """Loaded once, used often; from one thread at a time.

    folder  where the ONNX file is kept, for this process and later ones; None: torch, and nothing is written
    """

    def __init__(self, folder: Path | None) -> None:
        self.engine, self._run = _opened(folder)

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        """One row of unit length a picture; its bits never depend on the pictures beside it.

        Raises ValueError for what is no picture or no map, or where the network's answer is not finite.
        """
        vectors = np.zeros((len(pictures), LENGTH), np.float32)
        for row, picture in enumerate(pictures):
            vectors[row] = joined(self._run(tiles_of(picture)))
        return vectors


def _opened(folder: Path | None) -> tuple[str, Run]:
    if folder is None:
        return "torch", _torch_run()
    try:
        content = _kept(folder) or _written_by_another(folder)
        return "ONNX Runtime", _onnx_run(content)
    except (ImportError, EngineError, OSError, subprocess.SubprocessError) as problem:
        _log.warning("parts are embedded by torch, which takes three times as long: %s", problem)
        return "torch", _torch_run()


def _kept(folder: Path) -> bytes | None:
    """An earlier file, if it is still what was written."""
    for path in sorted(folder.glob(f"{STEM}-*.onnx")):
        content = path.read_bytes()
        if path.stem == f"{STEM}-{hashlib.sha256(content).hexdigest()}":
            return content
        path.unlink(missing_ok=True)
    return None


def _written_by_another(folder: Path) -> bytes:
    """By a process that ends: the exporter holds Python's lock for seconds and half a gigabyte for ever."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(folder)],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        timeout=WRITING_S,
        check=False,
    )
    content = _kept(folder)
    if content is None:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise EngineError(f"The network was not written as ONNX: {lines[-1]}")
    return content


def write(folder: Path) -> Path:
    """Write the network as ONNX under its sha256; raises EngineError where the exporter cannot."""
    # torch: not for a process that finds the file
    from vision.models.pooled import Pooled
    from vision.runtime.export import to_onnx

    exported = to_onnx(Pooled(), tile_shape=(3, INPUT_PX, INPUT_PX))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{STEM}-{hashlib.sha256(exported.content).hexdigest()}.onnx"
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(exported.content)
    Path(file.name).replace(path)
    return path


def _onnx_run(content: bytes) -> Run:
    import onnxruntime  # absent on a machine that has torch alone

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it raises a class of its own for each kind of trouble
        raise EngineError(f"ONNX Runtime does not take the network: {error}") from error
    name = session.get_inputs()[0].name

    def run(tiles: Tiles) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {name: tiles})[0], np.float32)

    return run


def _torch_run() -> Run:
    # torch: only where ONNX Runtime is not to be had
    from vision.models.pooled import Pooled
    from vision.runtime.torch_engine import TorchEngine

    engine = TorchEngine(Pooled(), device="cpu")
    return lambda tiles: engine.run([tiles])[0][0]


if __name__ == "__main__":
    write(Path(sys.argv[1]))
