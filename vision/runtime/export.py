"""A fitted network as ONNX bytes, and the proof that another runtime gives the same answers."""

import copy
import logging
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vision.runtime.engine import Engine, EngineError
from vision.runtime.torch_engine import outputs_of
from vision.staged import Begun

OPSET = 18


class Exported(NamedTuple):
    """The ONNX file of a network, and how long it took to write."""

    content: bytes
    seconds: float


@dataclass(frozen=True)
class Parity:
    """How far another runtime is from the reference on n real images; infinite where only one of them says NaN."""

    max_score_difference: float
    max_map_difference: float
    n: int


def to_onnx(network: nn.Module, *, tile_shape: tuple[int, int, int]) -> Exported:
    """Write the network with a free number of tiles; the same weights and versions give the same bytes.

    tile_shape  channels, height, width

    Raises EngineError where the network cannot be written, with the exporter's reason.
    """
    started_at = time.perf_counter()
    # A copy on the CPU, made of ordinary tensors: a bank that was chosen in inference mode cannot be traced.
    with torch.inference_mode(mode=False), torch.no_grad():
        plain = _Plain(copy.deepcopy(network).cpu()).eval()
        for holder in plain.modules():
            for name, buffer in holder.named_buffers(recurse=False):
                setattr(holder, name, buffer.clone())
        with _quiet_exporter():
            try:
                program = torch.onnx.export(
                    plain,
                    (torch.zeros(2, *tile_shape),),  # of two: a dimension of one would be taken for fixed
                    dynamo=True,
                    opset_version=OPSET,
                    input_names=["tiles"],
                    dynamic_shapes=({0: torch.export.Dim("tiles", min=1)},),
                    external_data=False,
                    verbose=False,
                )
            except Exception as error:  # whatever the tracer makes of a network that it does not understand
                raise EngineError(
                    f"The network cannot be written as ONNX: {str(error).strip().split(chr(10), 1)[0]}"
                ) from error
    assert program is not None
    model = program.model_proto
    _forget_sources(model)
    content = model.SerializeToString(deterministic=True)
    return Exported(content, time.perf_counter() - started_at)


def parity(reference: Engine, other: Engine, samples: Sequence[Begun]) -> Parity:
    """Compare finished predictions: raw evidence may differ more where it does not matter, or less where it does.

    Raises EngineError where the other runtime fails.
    """
    score, cell = 0.0, 0.0
    for sample in samples:
        wanted, got = (sample.finish(engine.run([sample.tiles])[0]) for engine in (reference, other))
        score = max(score, _difference(wanted.score, got.score))
        cell = max(cell, _difference(wanted.defect_map, got.defect_map))
    return Parity(score, cell, len(samples))


class _Plain(nn.Module):
    """The exporter wants plain tuples; families answer named ones."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tiles: Tensor) -> tuple[Tensor, ...]:
        return outputs_of(self.network(tiles))


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """It warns of torchvision's absence and of its own deprecated calls: neither is the operator's business."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _forget_sources(model: Any) -> None:
    """The exporter notes the source file and line of every operator: no part of the model, other on each machine."""
    graph = model.graph
    for noted in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    ):
        del noted.metadata_props[:]
        noted.doc_string = ""


def _difference(one: Any, other: Any) -> float:
    one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if one.shape != other.shape or (np.isnan(one) != np.isnan(other)).any():
        return math.inf
    return float(np.nanmax(np.abs(one - other), initial=0.0)) if not np.isnan(one).all() else 0.0
