"""Classification: good or bad, or which defect, learned from graded parts; and where the network saw it.

    probe         a linear layer on the frozen packaged backbone: seconds to fit, safe with few graded parts
    efficientnet  starts as the probe, then the last blocks learn too (`vision.models.classifier_training`)

The score is calibrated on parts that the fit has not seen. The defect map is the class-activation map of the likely
defect against good (`classifier_network`). Its cells keep their differences and are shifted alike, so that their robust
maximum is the score's logit: the map says where, the score how bad, and over images the two have the same order. Cells
are evidence, not measured areas of a defect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vision.holdout import deal_folds
from vision.models.backbone import Backbone, load_backbone
from vision.models.calibration import Calibration
from vision.models.classes import Linear, bad_evidence, classes_of, fit_linear, numbers_of
from vision.models.classifier_network import ClassifierNetwork, lite0_network
from vision.models.readings import CellReading
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
from vision.runtime.engine import Raw, Tiles
from vision.staged import Staged, check_finite, module_tensors, tensors_under

FEWEST_GOOD, FEWEST_BAD = 5, 3
FOLDS = 5
HALF = (0.5, 0.5, 0.5)
TOP_SHARE = 0.02


@dataclass(frozen=True)
class ProbeOptions:
    """What may be set.

    input_px          side of the square that the whole image is brought to, a multiple of 32
    regularisation_c  smaller holds the linear layer closer to zero
    top_share         of the cells, the strongest, that count once more by themselves: for small defects; 0 for none
    mirror            learns from mirrored pictures too: off where left and right, or up and down, differ on the part
    """

    input_px: int = 224
    regularisation_c: float = 0.01
    top_share: float = TOP_SHARE
    mirror: bool = True

    def __post_init__(self) -> None:
        check_common(self.input_px, self.regularisation_c, self.top_share)


def check_common(input_px: int, regularisation_c: float, top_share: float) -> None:
    """Raises ValueError with a sentence for what no classifier can do."""
    if not 64 <= input_px <= 2048 or input_px % 32:
        raise ValueError(f"input_px is a multiple of 32 from 64 to 2048, not {input_px}.")
    if not 0 < regularisation_c < np.inf:
        raise ValueError(f"regularisation_c is a number above 0, not {regularisation_c}.")
    if not 0 <= top_share <= 0.5:
        raise ValueError(f"top_share is a share of the cells from 0 to 0.5, not {top_share}.")


def options_in(state: State) -> dict[str, Any]:
    """A model from before there was top_share had none."""
    return {"top_share": 0.0, **state.metadata["options"]}


class Classifier(Staged):
    """What the families of classification share: one square tile, logits and map, one line to the probability."""

    mean: tuple[float, ...] = HALF
    std: tuple[float, ...] = HALF

    def __init__(self, network: nn.Module, *, device: str, input_px: int) -> None:
        super().__init__(network, device=device)
        self._input_px = input_px
        self._classes: list[str] = []
        self._calibration: Calibration | None = None

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {
            "colour": "RGB",
            "input_px": [self._input_px, self._input_px],
            "resize": "area, whole image, aspect not kept",
            "mean": list(self.mean),
            "std": list(self.std),
        }

    def calibrate(self, examples: Sequence[Example]) -> None:
        """Raises ValueError without good parts, and where the evidence is not finite."""
        self._fitted()
        good, bad = (self.evidence_of(kind) for kind in good_and_bad(examples))
        self._calibration = Calibration.of(good, bad)

    def prepare(self, image: Image) -> Tiles:
        check_image(image)
        return normalised(self.brought_to_size(image), mean=self.mean, std=self.std)[None]

    def brought_to_size(self, image: Image) -> Image:
        size = (self._input_px, self._input_px)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def finish(self, raw: Raw, *, height: int, width: int) -> Prediction:
        calibration = self._fitted()
        logits, cells = (output[0].astype(np.float64) for output in raw)
        likely = 1 + int(np.argmax(logits[1:]))
        evidence = float(bad_evidence(logits)) if np.isfinite(cells).all() else np.nan
        reading = CellReading(evidence, self._classes[likely], cells[likely] - cells[0])
        return Prediction(
            score=float(calibration.probability(reading.evidence)),
            defect_map=reading.drawn(calibration),
            defect=reading.defect,
        )

    def evidence_of(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """The logit of bad for each example, before calibration."""
        raws = (self.engine.run([self.prepare(example.pixels)])[0] for example in examples)
        return np.array([float(bad_evidence(raw[0][0].astype(np.float64))) for raw in raws])

    def _fitted(self) -> Calibration:
        if self._calibration is None:
            raise NotFittedError(f"This {self.family} model has not been fitted yet.")
        return self._calibration

    def _state(self, options: Any, **more: Any) -> State:
        calibration = self._fitted()
        return State(
            module_tensors(self.network, prefix="network"),
            {
                "preprocessing": self.preprocessing,
                "options": asdict(options),
                "classes": self._classes,
                "calibration": calibration.as_json(),
                **more,
            },
        )

    def _take(self, state: State) -> None:
        """Weights, classes and calibration of a kept state; raises ValueError or KeyError if they do not fit."""
        tensors = tensors_under(state.tensors, prefix="network")
        check_finite(tensors)
        if self.preprocessing != state.metadata["preprocessing"]:
            raise ValueError("The model was made with another preprocessing than this version has.")
        network = self.network
        try:
            network.load_state_dict(
                {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}
            )
        except RuntimeError as error:
            raise ValueError(f"The model's network does not fit its architecture: {error}") from error
        self._classes = classes_in(state)
        self._calibration = Calibration.from_json(state.metadata["calibration"])
        self.network = network.to(self.device)  # a fresh engine for the new weights


class Probe(Classifier):
    """A linear layer on three depths of the frozen backbone."""

    family: ClassVar[str] = "probe"

    def __init__(self, backbone: Backbone, options: ProbeOptions, *, device: str, classes: int = 2) -> None:
        network = lite0_network(backbone, classes=classes, top_share=options.top_share).to(device)
        super().__init__(network, device=device, input_px=options.input_px)
        self._backbone, self._options = backbone, options

    @classmethod
    def new(cls, *, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Self:
        read = read_options(ProbeOptions, options)
        return cls(load_backbone(weights_folder=weights_folder, device=device), read, device=device)

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Learn the linear layer from all examples; calibrate on each as judged by a layer that had not seen it.

        The folds keep groups whole. Raises ValueError for fewer than 5 good or 3 bad parts.
        """
        check_enough(examples, family=self.family)
        self._classes = classes_of(examples)
        network = lite0_network(
            self._backbone, classes=len(self._classes), top_share=self._options.top_share
        ).to(self.device)
        linear, evidence = fit_probe(
            network,
            [self.brought_to_size(example.pixels) for example in examples],
            examples,
            classes=self._classes,
            regularisation_c=self._options.regularisation_c,
            mirror=self._options.mirror,
            seed=seed,
            device=self.device,
            progress=progress,
        )
        network.set_linear(*linear)
        self.network = network
        is_bad = np.array([example.is_bad for example in examples])
        self._calibration = Calibration.of(evidence[~is_bad], evidence[is_bad])
        progress(1.0, "Fitted")

    def state(self) -> State:
        return self._state(self._options)

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        try:
            options = read_options(ProbeOptions, options_in(state))
            predictor = cls(empty_backbone(), options, device=device, classes=len(classes_in(state)))
            predictor._take(state)
        except (KeyError, TypeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        return predictor


def fit_probe(
    network: ClassifierNetwork,
    images: Sequence[Image],
    examples: Sequence[Example],
    *,
    classes: Sequence[str],
    regularisation_c: float,
    mirror: bool,
    seed: int,
    device: str,
    progress: Progress,
    mean: tuple[float, ...] = HALF,
    std: tuple[float, ...] = HALF,
) -> tuple[Linear, NDArray[np.float64]]:
    """The linear layer on the network's frozen trunk, and the evidence of each example as judged without it.

    images  the examples' pictures at the network's size
    """
    features = []
    for number, image in enumerate(images):
        views = np.stack([normalised(view, mean=mean, std=std) for view in views_of(image, mirror=mirror)])
        batch = torch.from_numpy(views).to(device)
        features.append(network.pooled(batch).double().cpu().numpy())
        if number % 20 == 0:
            progress(0.9 * number / len(images), f"Looked at {number} of {len(images)} parts")
    numbers = numbers_of(examples, classes)
    seen = np.stack(features)  # parts x views x channels

    def fitted(chosen: NDArray[np.intp]) -> Linear:
        rows = seen[chosen].reshape(-1, seen.shape[2])
        repeated = np.repeat(numbers[chosen], seen.shape[1])
        return fit_linear(rows, repeated, classes=len(classes), regularisation_c=regularisation_c)

    progress(0.9, "Fitting the linear layer")
    whole = fitted(np.arange(len(examples)))
    evidence = bad_evidence(seen[:, 0] @ whole.weight.T + whole.bias)
    folds = _folds(examples, seed=seed)
    for fold in range(int(folds.max()) + 1):
        taught, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if len(np.unique(numbers[taught] > 0)) == 2:  # else nothing can be learned without this fold
            linear = fitted(taught)
            evidence[held] = bad_evidence(seen[held, 0] @ linear.weight.T + linear.bias)
    return whole, evidence


def _folds(examples: Sequence[Example], *, seed: int) -> NDArray[np.intp]:
    """Groups stay whole; where there is one group alone, single examples are dealt, and the figures flatter."""
    groups = [example.group for example in examples]
    distinct = len({group or f"#{number}" for number, group in enumerate(groups)})
    if distinct < 2:
        groups, distinct = [""] * len(examples), len(examples)
    return np.array(deal_folds(groups, folds=min(FOLDS, distinct), seed=seed), dtype=np.intp)


def views_of(image: Image, *, mirror: bool) -> list[Image]:
    """The image, mirrored and upside down: few graded parts teach more."""
    return [image, image[:, ::-1], image[::-1]] if mirror else [image]


def normalised(image: Image, *, mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """HxWx3 bytes to 3xHxW."""
    scaled = (image.astype(np.float32) / np.float32(255) - np.asarray(mean, np.float32)) / np.asarray(
        std, np.float32
    )
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def check_enough(examples: Sequence[Example], *, family: str) -> None:
    good, bad = good_and_bad(examples)
    if len(good) < FEWEST_GOOD or len(bad) < FEWEST_BAD:
        raise ValueError(
            f"The family {family} needs at least {FEWEST_GOOD} good and {FEWEST_BAD} bad graded parts to learn from, "
            f"not {len(good)} and {len(bad)}."
        )


def classes_in(state: State) -> list[str]:
    """Raises ValueError unless the state names good and at least one defect class."""
    classes = state.metadata["classes"]
    if (
        not isinstance(classes, list)
        or len(classes) < 2
        or not all(isinstance(each, str) for each in classes)
    ):
        raise ValueError("The model's classes are not whole.")
    return classes


def empty_backbone() -> Backbone:
    """The folded architecture, for weights that a model file brings."""
    backbone = Backbone()
    backbone.fold_batch_norms()
    return backbone.requires_grad_(requires_grad=False)
