"""Any ONNX model with a manifest: somebody else's network behind our protocol.

It is not fitted here. Its answer is read as its manifest says, as evidence in logits (or, of an anomaly model, in its
own unit), and from there on treated as ours: `calibrate` draws the line from evidence to probability on graded parts,
the score is the robust maximum of the map, and arithmetic that breaks gives NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import nn

from vision.manifest import Manifest, ManifestError
from vision.models.calibration import LIMIT_GOOD, TYPICAL_GOOD, Calibration
from vision.models.onnx_graph import OnnxNetwork
from vision.models.placement import Placement
from vision.models.readings import Reading, broken, read_outputs
from vision.options import read_options
from vision.predictor import (
    Example,
    Image,
    NotFittedError,
    Prediction,
    Progress,
    State,
    check_image,
    good_and_bad,
)
from vision.runtime.engine import EngineError, Raw, Tiles
from vision.staged import Staged


@dataclass(frozen=True)
class NoOptions:
    """An imported model is set by its manifest."""


class Imported(Staged):
    """Family `onnx`."""

    family: ClassVar[str] = "onnx"
    tasks: ClassVar[tuple[str, ...]] = ("classification", "segmentation", "detection", "anomaly")
    exports_to_onnx: ClassVar[bool] = False  # it is ONNX already; ONNX Runtime runs it as it came

    def __init__(self, *, device: str) -> None:
        super().__init__(nn.Identity(), device=device)  # nothing to run until a file is imported
        self._content: bytes | None = None
        self._manifest: Manifest | None = None
        self._calibration = Calibration(1.0, 0.0, method="as imported")

    @classmethod
    def new(cls, *, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """The file that is imported later brings its weights."""
        read_options(NoOptions, options)
        return cls(device=device)

    @classmethod
    def from_onnx(cls, content: bytes, manifest: Manifest, *, device: str) -> Self:
        """A predictor from an ONNX file and its manifest, tried once on a picture of noise.

        Raises ValueError, with a sentence, for a file that is not run here or that does not fit its manifest.
        """
        predictor = cls(device=device)
        predictor._import(content, manifest)
        predictor._try()
        return predictor

    @property
    def preprocessing(self) -> dict[str, Any]:
        if self._manifest is None:
            return {}
        wanted = self._manifest.input
        whole = "whole image, aspect not kept"
        return {
            "colour": wanted.colour,
            "input_px": [wanted.height, wanted.width],
            "resize": f"{wanted.interpolation}, {whole if wanted.resize == 'stretch' else 'letterbox'}",
            "scale": wanted.scale,
            "mean": list(wanted.mean),
            "std": list(wanted.std),
        }

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        raise ValueError(f"A model of the family {self.family!r} is imported, not fitted: use import_model.")

    def calibrate(self, examples: Sequence[Example]) -> None:
        """Put the model's own score on our scale: Platt's line through graded parts, good and bad.

        An anomaly model may be calibrated on good parts alone, as ours are.

        Raises ValueError where there are too few parts, or the bad ones look no worse than the good ones.
        """
        self._known()
        good, bad = (self._evidence(kind) for kind in good_and_bad(examples))
        drawn = Calibration.of(good, bad)
        if drawn.method != "platt" and (bad or self._known().task != "anomaly"):
            raise ValueError(
                f"Calibrating needs at least 10 good and 10 bad parts that the model tells apart; there are "
                f"{len(good)} and {len(bad)}, and no rising line fits them."
            )
        self._calibration = drawn

    def prepare(self, image: Image) -> Tiles:
        check_image(image)
        wanted = self._known().input
        laid = Placement.of(wanted, height=image.shape[0], width=image.shape[1]).lay(image, wanted)
        if wanted.colour == "bgr":
            laid = laid[:, :, ::-1]
        elif wanted.colour == "grey":
            laid = cv2.cvtColor(laid, cv2.COLOR_RGB2GRAY)[:, :, None].astype(np.uint8)
        scale, mean, std = (np.asarray(each, np.float32) for each in (wanted.scale, wanted.mean, wanted.std))
        normal = (laid.astype(np.float32) * scale - mean) / std
        return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])

    def finish(self, raw: Raw, *, height: int, width: int) -> Prediction:
        reading = self._read(raw, height=height, width=width)
        return Prediction(
            score=float(self._calibration.probability(reading.evidence)),
            defect_map=reading.drawn(self._calibration),
            defect=reading.defect,
        )

    def state(self) -> State:
        manifest = self._known()
        return State(
            {"onnx": np.frombuffer(self._content or b"", dtype=np.uint8)},
            {
                "manifest": manifest.as_json(),
                "preprocessing": self.preprocessing,
                "calibration": self._calibration.as_json(),
            },
        )

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        tensors, metadata = state
        content = tensors.get("onnx")
        if content is None or content.dtype != np.uint8 or content.ndim != 1:
            raise ValueError("The model's state is not whole: it holds no ONNX file.")
        predictor = cls(device=device)
        try:
            predictor._import(content.tobytes(), Manifest.from_json(metadata["manifest"]))
            predictor._calibration = Calibration.from_json(metadata["calibration"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        predictor._try()
        return predictor

    def _import(self, content: bytes, manifest: Manifest) -> None:
        if manifest.task not in self.tasks:
            raise ManifestError(
                f"The family {self.family!r} takes the task {' or '.join(self.tasks)}, not {manifest.task}."
            )
        wanted = manifest.input
        network = OnnxNetwork(
            content,
            input_name=wanted.name,
            input_shape=wanted.shape,
            is_channels_last=wanted.layout == "nhwc",
            output_names=list(manifest.outputs.values()),
            device=self.device,
        )
        is_raw = wanted.scale == 1 and set(wanted.mean) == {0.0} and set(wanted.std) == {1.0}
        if network.input_type is np.uint8 and not is_raw:
            raise ManifestError("The graph takes bytes: the manifest's scale must be 1, mean 0 and std 1.")
        self.network = network
        self._content, self._manifest = content, manifest
        if manifest.typical_good is not None and manifest.limit_good is not None:
            slope = float(np.log(LIMIT_GOOD / (1 - LIMIT_GOOD)) - np.log(TYPICAL_GOOD / (1 - TYPICAL_GOOD)))
            slope /= manifest.limit_good - manifest.typical_good
            offset = float(np.log(LIMIT_GOOD / (1 - LIMIT_GOOD))) - slope * manifest.limit_good
            self._calibration = Calibration(slope, offset, method="as imported")

    def _try(self) -> None:
        """One picture of noise, twice: shapes, numbers and repeatability are seen before any part is."""
        wanted = self._known().input
        noise = np.random.default_rng(0).integers(0, 256, (wanted.height, wanted.width, 3), dtype=np.uint8)
        tiles = self.prepare(noise)
        try:
            first, second = self.engine.run([tiles, tiles])
        except EngineError as error:
            raise ValueError(str(error)) from error
        if not all(
            np.array_equal(one, other, equal_nan=True) for one, other in zip(first, second, strict=True)
        ):
            raise ValueError("The imported graph gives the same image different answers.")
        if np.isnan(self.finish(first, height=wanted.height, width=wanted.width).score):
            raise ValueError(
                "The imported graph's answer to a picture of noise is not finite, or no probability 0..1 where the "
                "manifest says that it is one (activation none)."
            )

    def _known(self) -> Manifest:
        if self._manifest is None:
            raise NotFittedError(f"No model was imported into this {self.family} predictor yet.")
        return self._manifest

    def _evidence(self, examples: Sequence[Example]) -> list[float]:
        found = []
        for example in examples:
            raw = self.engine.run([self.prepare(example.pixels)])[0]
            height, width = example.pixels.shape[:2]
            found.append(self._read(raw, height=height, width=width).evidence)
        return found

    def _read(self, raw: Raw, *, height: int, width: int) -> Reading:
        manifest = self._known()
        placement = Placement.of(manifest.input, height=height, width=width)
        if not all(np.isfinite(output).all() for output in raw):
            return broken()
        return self._meaning(dict(zip(manifest.outputs, raw, strict=True)), placement)

    def _meaning(self, outputs: dict[str, NDArray[np.float32]], placement: Placement) -> Reading:
        return read_outputs(outputs, self._known(), placement)
