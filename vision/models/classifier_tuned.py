"""Fine-tuned classifiers: EfficientNet, ResNet, ViT. They start as a probe, then the trunk learns too.

Sources: Tan & Le, EfficientNet (arXiv:1905.11946); He et al., Deep Residual Learning (arXiv:1512.03385); Dosovitskiy et
al., An Image is Worth 16x16 Words (arXiv:2010.11929), here with the patch tokens averaged instead of a class token, so
that the class-activation map is exact for it too and no gradient is needed to draw one.

A fifth of the groups stays out of learning. It chooses the best epoch, the start included, and then calibrates: so the
model is no worse on it than the probe, and the first calibration flatters a little. `calibrate` with other parts mends it.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from vision.models.calibration import Calibration
from vision.models.classes import classes_of, numbers_of
from vision.models.classifier import (
    TOP_SHARE,
    Classifier,
    check_common,
    check_enough,
    classes_in,
    fit_probe,
    normalised,
    options_in,
)
from vision.models.classifier_network import ClassifierNetwork
from vision.models.classifier_training import (
    Augment,
    Pace,
    Pictures,
    fine_tune,
    gentle,
    taught_and_held,
)
from vision.models.classifier_trunks import LITE0, ClassifierTrunk, empty_trunk, new_trunk
from vision.options import read_options
from vision.predictor import Example, Image, Progress, State, good_and_bad

PROBE_SHARE = 0.2  # of the progress


@dataclass(frozen=True)
class TunedOptions:
    """What may be set.

    architecture      of the network
    input_px          side of the square that the whole image is brought to, a multiple of 32
    epochs, patience  at most so many times through the examples; fewer when so many brought nothing
    learning_rate     of the trunk
    batch             pictures a step
    mirror            learns from mirrored pictures too: off where left and right, or up and down, differ on the part
    train_from_block  of lite0 (0 to 14): earlier blocks stay as they are
    regularisation_c  of the probe that it starts from
    top_share         of the cells, the strongest, that count once more by themselves: for small defects; 0 for none
    """

    architecture: str = LITE0
    input_px: int = 224
    epochs: int = 10
    patience: int = 4
    learning_rate: float = 1e-4
    batch: int = 16
    mirror: bool = True
    train_from_block: int = 4
    regularisation_c: float = 0.01
    top_share: float = TOP_SHARE

    def __post_init__(self) -> None:
        check_common(self.input_px, self.regularisation_c, self.top_share)
        if self.epochs < 1 or self.patience < 1 or self.batch < 1:
            raise ValueError("epochs, patience and batch are at least 1.")
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate lies between 0 and 1, not {self.learning_rate}.")
        if not 0 <= self.train_from_block <= 14:
            raise ValueError(f"train_from_block is a block of lite0, 0 to 14, not {self.train_from_block}.")


@dataclass(frozen=True)
class ResNetOptions(TunedOptions):
    architecture: str = "resnet18"


@dataclass(frozen=True)
class ViTOptions(TunedOptions):
    architecture: str = "vit_tiny_patch16_224"


class Tuned(Classifier):
    """What EfficientNet, ResNet and ViT share: all but the network."""

    options_type: ClassVar[type[TunedOptions]]
    name_part: ClassVar[str]  # stands in the names of the family's architectures

    def __init__(
        self, trunk: ClassifierTrunk, options: TunedOptions, *, device: str, classes: int = 2
    ) -> None:
        network = ClassifierNetwork(
            trunk.module, channels=trunk.channels, classes=classes, top_share=options.top_share
        ).to(device)
        super().__init__(network, device=device, input_px=options.input_px)
        self.mean, self.std = trunk.mean, trunk.std
        self._trunk, self._options = trunk, options
        self._weights = trunk.weights
        self._held_errors: list[float] = []
        self.augment: Augment = gentle(mirror=options.mirror)

    @classmethod
    def new(cls, *, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Self:
        read = cls._read(options)
        trunk = new_trunk(
            read.architecture,
            input_px=read.input_px,
            train_from_block=read.train_from_block,
            weights_folder=weights_folder,
            device=device,
        )
        return cls(trunk, read, device=device)

    @classmethod
    def _read(cls, options: Mapping[str, Any]) -> TunedOptions:
        read = read_options(cls.options_type, options)
        if read.architecture != cls.options_type().architecture and cls.name_part not in read.architecture:
            raise ValueError(
                f"The family {cls.family} has the architecture {cls.options_type().architecture}, and with "
                f"requirements-models.txt timm's with {cls.name_part!r} in their names, not {read.architecture!r}."
            )
        return read

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Raises ValueError for fewer than 5 good or 3 bad parts."""
        check_enough(examples, family=self.family)
        options, self._classes = self._options, classes_of(examples)
        to_learn, kept_out = taught_and_held(examples, seed=seed)
        taught, held = self._pictures(to_learn), self._pictures(kept_out)
        trunk = copy.deepcopy(self._trunk)
        network = ClassifierNetwork(
            trunk.module, channels=trunk.channels, classes=len(self._classes), top_share=options.top_share
        )
        network.to(self.device).eval()
        linear, _ = fit_probe(
            network,
            taught.images,
            to_learn,
            classes=self._classes,
            regularisation_c=options.regularisation_c,
            mirror=options.mirror,
            seed=seed,
            device=self.device,
            progress=lambda done, doing: progress(PROBE_SHARE * done, doing),
            mean=self.mean,
            std=self.std,
        )
        network.set_linear(*linear)
        self._held_errors = fine_tune(
            network,
            taught,
            held,
            taught_parts=trunk.taught,
            learns_statistics=trunk.starts_from_chance,
            pace=Pace(options.epochs, options.patience, options.learning_rate, options.batch),
            augment=self.augment,
            normalise=self._normalise,
            seed=seed,
            device=self.device,
            progress=lambda done, doing: progress(PROBE_SHARE + (0.95 - PROBE_SHARE) * done, doing),
        )
        self.network = network
        progress(0.95, "Calibrating on parts that were kept out")
        good, bad = (self.evidence_of(kind) for kind in good_and_bad(kept_out))
        self._calibration = Calibration.of(good, bad)
        progress(1.0, "Fitted")

    def state(self) -> State:
        errors = [round(error, 4) if np.isfinite(error) else None for error in self._held_errors]
        return self._state(self._options, weights=self._weights, held_errors=errors)

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        try:
            options = cls._read(options_in(state))
            trunk = empty_trunk(
                options.architecture,
                input_px=options.input_px,
                train_from_block=options.train_from_block,
                device=device,
            )
            predictor = cls(trunk, options, device=device, classes=len(classes_in(state)))
            predictor._take(state)
            predictor._weights = str(state.metadata["weights"])
            errors = state.metadata["held_errors"]
            predictor._held_errors = [float("inf") if error is None else float(error) for error in errors]
        except (KeyError, TypeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        return predictor

    def _pictures(self, examples: Sequence[Example]) -> Pictures:
        images = [self.brought_to_size(example.pixels) for example in examples]
        return Pictures(images, numbers_of(examples, self._classes))

    def _normalise(self, image: Image) -> NDArray[np.float32]:
        return normalised(image, mean=self.mean, std=self.std)


class EfficientNetClassifier(Tuned):
    family: ClassVar[str] = "efficientnet"
    options_type = TunedOptions
    name_part = "efficientnet"


class ResNetClassifier(Tuned):
    family: ClassVar[str] = "resnet"
    options_type = ResNetOptions
    name_part = "resnet"


class ViTClassifier(Tuned):
    family: ClassVar[str] = "vit"
    options_type = ViTOptions
    name_part = "vit_"
