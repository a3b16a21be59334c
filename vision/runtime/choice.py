"""Which runtime runs a model's network here: measured on real images once, then kept.

Runtimes round differently in the last bits. So the choice sticks: the same golden configuration on the same device
gives the same score bit for bit tomorrow, also when another runtime would win the race by then.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from torch import nn

from vision.predictor import Image
from vision.runtime.engine import Engine, EngineError
from vision.runtime.export import Parity, parity, to_onnx
from vision.runtime.machine import device_name, device_of, library_versions
from vision.runtime.measure import look_times
from vision.runtime.memory import CorruptMemoryError, Memory, Remembered
from vision.runtime.torch_engine import reference_engine
from vision.staged import Begun, Stepwise

MAX_SCORE_DIFFERENCE = 1e-3  # between torch and another runtime, on any reference image
MARGIN = 0.95  # torch loses only to a runtime that needs less than this share of its time
MOST_SAMPLES = 8
ROUNDS, MOST_MEASURING_S = 15, 10.0
INT8 = "ONNX Runtime int8 on cpu"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldOut:
    """Real parts that the model has not learned from; they decide whether 8-bit arithmetic is admitted.

    calibrating           give the range of each layer
    good, bad             judge; no image is in `calibrating` too
    max_auroc_loss        largest loss of the area under the ROC curve
    max_score_difference  largest move of one part's score
    """

    calibrating: Sequence[Image]
    good: Sequence[Image]
    bad: Sequence[Image]
    max_auroc_loss: float = 0.002
    max_score_difference: float = 0.02


@dataclass(frozen=True)
class Choice:
    """What runs the network now.

    ms             median of one image in it; None where nothing was measured
    parity         against torch, now, on the reference images; None for torch itself
    refused        runtimes that may not run this model, each with a sentence
    measured       median ms of every runtime that was measured
    is_remembered  chosen at an earlier start
    """

    name: str
    ms: float | None
    parity: Parity | None = None
    refused: dict[str, str] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)
    is_remembered: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def choose_engine(
    predictor: Stepwise,
    images: Sequence[Image],
    *,
    cache: Path | None,
    model_sha256: str,
    say: Callable[[str], None],
    held_out: HeldOut | None = None,
) -> Choice:
    """Put the fastest engine that gives torch's scores into the predictor.

    images    real reference images; without one nothing can be proved, and torch runs
    cache     where the choice and the exported network are kept; None measures at every start
    held_out  graded parts that may admit 8-bit arithmetic; without them it is not tried

    A predictor whose network cannot be exported, or that brings a runtime of its own, keeps what it has.
    """
    if not predictor.exports_to_onnx or not images:
        return Choice(predictor.engine.name, None)
    workshop = _Workshop(
        predictor,
        [predictor.begin(image) for image in images[:MOST_SAMPLES]],
        memory=_memory(cache, predictor.network, model_sha256, say),
        held_out=held_out,
        say=say,
    )
    with workshop.memory.lock() if workshop.memory else nullcontext():
        choice = workshop.as_remembered() or workshop.measured()
    predictor.engine = workshop.engines[choice.name]
    say(_sentence(choice))
    return choice


def _memory(
    cache: Path | None, network: nn.Module, model_sha256: str, say: Callable[[str], None]
) -> Memory | None:
    if cache is None:
        return None
    try:
        return Memory(cache, model_sha256=model_sha256, device_name=device_name(device_of(network)))
    except OSError as error:
        say(
            f"The choice of a runtime cannot be kept ({error}); it is made anew at every start, and may then differ."
        )
        return None


class _Workshop:
    """The engines of one choice while they are built and compared."""

    def __init__(
        self,
        predictor: Stepwise,
        begun: list[Begun],
        *,
        memory: Memory | None,
        held_out: HeldOut | None,
        say: Callable[[str], None],
    ) -> None:
        self.memory = memory
        self._predictor, self._begun, self._held_out, self._say = predictor, begun, held_out, say
        self._device = device_of(predictor.network)
        self._reference = reference_engine(predictor.network, device=self._device, is_static=True)
        self.engines: dict[str, Engine] = {self._reference.name: self._reference}
        self._libraries = library_versions()
        self._onnx: dict[str, bytes] = {}

    def as_remembered(self) -> Choice | None:
        """The earlier choice if it still stands; None to measure (again), after saying why."""
        if self.memory is None:
            return None
        try:
            earlier = self.memory.read()
        except CorruptMemoryError as error:
            self._say(f"The kept choice of a runtime is not used: {error} Measuring again.")
            return None
        if earlier is None:
            return None
        changed = [
            f"{name} is {now} instead of {earlier.libraries.get(name, 'absent')}"
            for name, now in self._libraries.items()
            if earlier.libraries.get(name) != now
        ]
        if changed:
            self._say(
                f"Measuring the runtimes again, and the last bits of scores may change: {', '.join(changed)}."
            )
            return None
        try:
            found = self._rebuilt(earlier)
        except EngineError as error:
            self._say(f"{earlier.engine} ran this model before and does not now: {error} Measuring again.")
            return None
        return Choice(
            earlier.engine,
            earlier.ms.get(earlier.engine),
            parity=found,
            refused=earlier.refused,
            measured=earlier.ms,
            is_remembered=True,
        )

    def measured(self) -> Choice:
        """Build, compare and time every runtime there is, and keep the outcome."""
        refused: dict[str, str] = {}
        found: dict[str, Parity] = {}
        limits: dict[str, float] = {}
        for name, build in self._builders().items():
            try:
                engine = build()
                limits[name] = self._limit(name, engine)
                found[name] = self._checked(engine, limit=limits[name])
            except EngineError as error:
                refused[name] = str(error)
                _log.warning("%s may not run this model: %s", name, error)
            else:
                self.engines[name] = engine
        times = look_times(
            self.engines, [[each.tiles] for each in self._begun], rounds=ROUNDS, most_s=MOST_MEASURING_S
        )
        ms = {name: round(median(each), 3) for name, each in times.items()}
        best = min(ms, key=lambda name: ms[name])
        if ms[best] > MARGIN * ms[self._reference.name]:
            best = self._reference.name
        if self.memory is not None:
            limit = limits.get(best, 0.0)
            self._keep(self.memory, Remembered(best, ms, refused, self._libraries, self._hashes(), limit))
        return Choice(best, ms[best], parity=found.get(best), refused=refused, measured=ms)

    def _rebuilt(self, earlier: Remembered) -> Parity | None:
        """Build the earlier engine from the very same network; raises EngineError where that is impossible."""
        if earlier.engine == self._reference.name:
            return None
        builders = self._builders(also_int8=True)
        if earlier.engine not in builders:
            raise EngineError("this version or machine does not have it.")
        kind = "int8" if earlier.engine == INT8 else "float32"
        if kind in earlier.onnx_sha256:
            self._onnx[kind] = self._kept(kind, sha256=earlier.onnx_sha256[kind])
        engine = builders[earlier.engine]()
        found = self._checked(engine, limit=earlier.score_limit)
        self.engines[earlier.engine] = engine
        return found

    def _kept(self, kind: str, *, sha256: str) -> bytes:
        """The network file that the choice was made with, if need be written once more: it must come out the same."""
        assert self.memory is not None
        content = self.memory.read_onnx(kind, sha256=sha256)
        if content is None and kind == "float32":
            self._say("The kept network file is missing or damaged; writing it again.")
            content = self._float32()
            self.memory.write_onnx(kind, content)
        if content is None or hashlib.sha256(content).hexdigest() != sha256:
            raise EngineError("its network file is damaged and cannot be made the same again.")
        return content

    def _builders(self, *, also_int8: bool = False) -> dict[str, Callable[[], Engine]]:
        """By name, every runtime that is worth a try on this device.

        They are imported where they are used: each library takes part of a second to load, and a start with a kept
        choice needs one of them.
        """
        if self._device == "cuda":
            return {**self._lower_precisions(), **self._onnx_runtimes()}
        builders = self._onnx_runtimes()
        builders["OpenVINO on cpu"] = self._openvino
        if self._held_out is not None or also_int8:
            builders[INT8] = self._int8_engine
        return builders

    def _onnx_runtimes(self) -> dict[str, Callable[[], Engine]]:
        from vision.runtime.onnx_engine import CPU, OnnxEngine, engine_name, providers

        return {
            engine_name(provider): lambda provider=provider: OnnxEngine(self._float32(), provider=provider)  # type: ignore[misc]
            for provider in providers()
            if (provider == CPU) == (self._device == "cpu")
        }

    def _lower_precisions(self) -> dict[str, Callable[[], Engine]]:
        from vision.runtime.cuda_engine import CudaEngine

        engines = [
            CudaEngine(self._predictor.network, device=self._device, precision=precision)
            for precision in ("float16", "bfloat16")
        ]
        return {engine.name: lambda engine=engine: engine for engine in engines}  # type: ignore[misc]

    def _openvino(self) -> Engine:
        from vision.runtime.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(self._float32())

    def _int8_engine(self) -> Engine:
        from vision.runtime.int8 import quantised
        from vision.runtime.onnx_engine import OnnxEngine

        if "int8" not in self._onnx:
            assert self._held_out is not None
            begun = [self._predictor.begin(image) for image in self._held_out.calibrating]
            self._onnx["int8"] = quantised(self._float32(), [each.tiles for each in begun])
        return OnnxEngine(self._onnx["int8"], name=INT8)

    def _float32(self) -> bytes:
        if "float32" not in self._onnx:
            shape = self._begun[0].tiles.shape
            written = to_onnx(self._predictor.network, tile_shape=(shape[1], shape[2], shape[3]))
            self._say(
                f"Wrote the network as ONNX in {written.seconds:.1f} s, {len(written.content) / 2**20:.1f} MiB."
            )
            self._onnx["float32"] = written.content
        return self._onnx["float32"]

    def _checked(self, engine: Engine, *, limit: float) -> Parity:
        """Raises EngineError if the engine does not give torch's scores on the reference images."""
        found = parity(self._reference, engine, self._begun)
        if not found.max_score_difference <= limit:
            raise EngineError(
                f"Its scores differ from torch's by up to {found.max_score_difference:.2g} on {found.n} reference "
                f"images; {limit:g} is allowed."
            )
        return found

    def _limit(self, name: str, engine: Engine) -> float:
        """How far scores may be from torch's; 8-bit ones as far as held-out parts have shown to be harmless.

        Raises EngineError where they have not.
        """
        held = self._held_out
        if name != INT8 or held is None:
            return MAX_SCORE_DIFFERENCE
        from vision.runtime.int8 import judge

        good, bad = ([self._predictor.begin(image) for image in kind] for kind in (held.good, held.bad))
        judgement = judge(
            self._reference,
            engine,
            good=good,
            bad=bad,
            max_auroc_loss=held.max_auroc_loss,
            max_score_difference=held.max_score_difference,
        )
        if not judgement.is_accepted:
            raise EngineError(judgement.sentence)
        self._say(judgement.sentence)
        return held.max_score_difference

    def _hashes(self) -> dict[str, str]:
        return {kind: hashlib.sha256(content).hexdigest() for kind, content in self._onnx.items()}

    def _keep(self, memory: Memory, chosen: Remembered) -> None:
        """The files first: a choice must never point to a network that is not there."""
        for kind, content in self._onnx.items():
            memory.write_onnx(kind, content)
        memory.write(chosen)


def _sentence(choice: Choice) -> str:
    times = ", ".join(
        f"{name} {ms:.1f} ms" for name, ms in sorted(choice.measured.items(), key=lambda item: item[1])
    )
    how = "as at an earlier start" if choice.is_remembered else "the fastest here"
    proof = (
        ""
        if choice.parity is None
        else f" Its scores differ from torch's by at most {choice.parity.max_score_difference:.1e} on {choice.parity.n} "
        "reference images."
    )
    return f"The network runs in {choice.name}, {how} (one image: {times}).{proof}"
