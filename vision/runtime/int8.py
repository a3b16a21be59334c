"""The network's convolutions in 8-bit integers: faster on some processors, and never the same scores.

So it runs only where held-out parts show that nothing the factory accepted has moved: the area under the ROC curve
and every single score stay within the caller's limits. Otherwise it is refused, with the figure.

Source: static quantisation by calibration images, quantise/dequantise pairs around each convolution, one scale a
channel (Jacob et al., arXiv:1712.05877, section 2; Krishnamoorthi, arXiv:1806.08342, section 3).
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from sklearn.metrics import roc_auc_score

from vision.runtime.engine import Engine, EngineError, Tiles
from vision.staged import Begun


@dataclass(frozen=True)
class Judgement:
    """What the held-out parts say of the 8-bit network; the sentence holds the figures."""

    is_accepted: bool
    sentence: str
    auroc_float32: float
    auroc_int8: float
    max_score_difference: float


def quantised(content: bytes, calibrating: Sequence[Tiles]) -> bytes:
    """The same ONNX network with 8-bit convolutions; the same tiles give the same bytes.

    Only convolutions: distances and scores behind them need their digits.

    Raises EngineError where the network cannot be quantised.
    """
    if not calibrating:
        raise EngineError("Quantising needs at least one calibration image.")
    model = onnx.load_model_from_string(content)
    note = model.metadata_props.add()  # the exporter has folded and inferred already what this step would do
    note.key, note.value = "onnx.quant.pre_process", "onnxruntime.quant"
    with tempfile.TemporaryDirectory(prefix="int8-") as folder, _quiet_quantiser():
        path = Path(folder) / "int8.onnx"
        try:
            quantize_static(
                model,
                path,
                _Reader(model.graph.input[0].name, calibrating),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        except Exception as error:  # whatever the quantiser makes of a network that it does not understand
            raise EngineError(f"The network cannot be written in 8 bits: {error}") from error
        return path.read_bytes()


def judge(
    reference: Engine,
    int8: Engine,
    *,
    good: Sequence[Begun],
    bad: Sequence[Begun],
    max_auroc_loss: float,
    max_score_difference: float,
) -> Judgement:
    """Accept the 8-bit engine, or say by how much it misses.

    Raises EngineError without held-out parts of both kinds: then nothing can be shown.
    """
    if not good or not bad:
        raise EngineError(
            f"The 8-bit network cannot be judged: {len(good)} good and {len(bad)} bad held-out parts."
        )
    begun = [*good, *bad]
    is_bad = [False] * len(good) + [True] * len(bad)
    exact, coarse = (_scores(engine, begun) for engine in (reference, int8))
    figures = f"on {len(good)} good and {len(bad)} bad held-out parts"
    if not (np.isfinite(exact).all() and np.isfinite(coarse).all()):
        sentence = f"The 8-bit network gives scores that are no numbers, {figures}."
        return Judgement(
            is_accepted=False,
            sentence=sentence,
            auroc_float32=np.nan,
            auroc_int8=np.nan,
            max_score_difference=np.inf,
        )
    before, after = (float(roc_auc_score(is_bad, scores)) for scores in (exact, coarse))
    difference = float(np.abs(exact - coarse).max())
    is_accepted = before - after <= max_auroc_loss and difference <= max_score_difference
    sentence = (
        f"In 8 bits the AUROC is {after:.4f} instead of {before:.4f} (a loss of {max_auroc_loss:g} is allowed) and a "
        f"score moves by up to {difference:.4f} ({max_score_difference:g} is allowed), {figures}."
    )
    return Judgement(is_accepted, sentence, before, after, difference)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands the tiles out one by one."""

    def __init__(self, name: str, images: Sequence[Tiles]) -> None:
        self._left = iter([{name: np.ascontiguousarray(tile[None])} for tiles in images for tile in tiles])

    def get_next(self) -> dict[str, Tiles] | None:
        return next(self._left, None)


@contextmanager
def _quiet_quantiser() -> Iterator[None]:
    """It advises its own pre-processing through the root logger."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _scores(engine: Engine, begun: Sequence[Begun]) -> NDArray[np.float64]:
    return np.array([each.finish(engine.run([each.tiles])[0]).score for each in begun], dtype=np.float64)
