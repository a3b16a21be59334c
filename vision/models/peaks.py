"""Peaks: good or bad by what the frozen backbone sees at most, not only on average, in two sizes of the whole picture.

A small defect moves the average over a picture little and the largest answer of a channel much. So the linear layer
sees, of the picture at 224 pixels, each deep channel's mean and maximum, and of the picture at 320 pixels the maxima at
three depths, where smaller things still show. Every picture is first brought to one contrast, whatever the exposure.

The defect map lays the same layer over the cells: a cell as strong as a channel's maximum gets what that maximum gave.
It points; it does not measure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from vision.holdout import deal_folds
from vision.models.backbone import Backbone, load_backbone
from vision.models.calibration import Calibration
from vision.models.classes import GOOD, Linear, bad_evidence, fit_linear
from vision.models.classifier import Classifier, check_enough, classes_in, empty_backbone
from vision.models.classifier_network import LITE0_CHANNELS
from vision.models.trunk import Trunk
from vision.options import read_options
from vision.predictor import Example, Image, Progress, State, check_image
from vision.runtime.engine import Tiles

INPUT_PX, SMALL_PX = 320, 224
CONTRAST = 0.4  # standard deviation of every picture: about that of photographs in -1..1
WEAKEST_CONTRAST = 1.0  # grey levels: a picture of nothing is not blown up to noise
FOLDS = 5
FAR_CHANNELS = tuple(LITE0_CHANNELS.values())[-1]


@dataclass(frozen=True)
class PeaksOptions:
    """What may be set.

    regularisation_c  smaller holds the linear layer closer to zero
    """

    regularisation_c: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.regularisation_c < np.inf:
            raise ValueError(f"regularisation_c is a number above 0, not {self.regularisation_c}.")


class PeaksNetwork(nn.Module):
    """Batch Nx3x320x320 -> logits Nx2, of good (always 0) and of bad; map Nx2x20x20."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.trunk = Trunk(backbone, levels=tuple(LITE0_CHANNELS))
        channels = [FAR_CHANNELS, FAR_CHANNELS, *LITE0_CHANNELS.values()]
        self.layers = nn.ModuleList([nn.Conv2d(each, 1, kernel_size=1, bias=False) for each in channels])
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        maps = self._maps(batch)
        size = maps[3].shape[-2:]
        logit, cells = self.bias, self.bias[None, :, None, None]
        for layer, level, pooled in zip(self.layers, maps, _pooled(maps), strict=True):
            logit = logit + layer(pooled[:, :, None, None])[:, 0, 0, 0]
            cells = cells + interpolate(layer(level), size=size, mode="bilinear")
        return (
            torch.stack([torch.zeros_like(logit), logit], dim=1),
            torch.cat([torch.zeros_like(cells), cells], dim=1),
        )

    @torch.inference_mode()
    def pooled(self, batch: Tensor) -> Tensor:
        """What the linear layer sees: Nx728."""
        return torch.cat(_pooled(self._maps(batch)), dim=1)

    @torch.no_grad()
    def set_linear(self, linear: Linear) -> None:
        """For `pooled` features: the row of bad less that of good."""
        weight, bias = linear.weight[1] - linear.weight[0], linear.bias[1] - linear.bias[0]
        start = 0
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d)
            part = weight[start : start + layer.in_channels].astype(np.float32)
            layer.weight.copy_(torch.from_numpy(part)[None, :, None, None])
            start += layer.in_channels
        self.bias.fill_(float(bias))

    def _maps(self, batch: Tensor) -> list[Tensor]:
        """The deepest level of the small picture, twice, then all levels of the large one."""
        far = self.trunk(interpolate(batch, size=(SMALL_PX, SMALL_PX), mode="bilinear"))[-1]
        return [far, far, *self.trunk(batch)]


class Peaks(Classifier):
    """A linear layer on means and maxima."""

    family: ClassVar[str] = "peaks"

    def __init__(self, backbone: Backbone, options: PeaksOptions, *, device: str) -> None:
        super().__init__(PeaksNetwork(backbone).to(device), device=device, input_px=INPUT_PX)
        self._backbone, self._options = backbone, options

    @classmethod
    def new(cls, *, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Self:
        read = read_options(PeaksOptions, options)
        return cls(load_backbone(weights_folder=weights_folder, device=device), read, device=device)

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {
            "colour": "RGB",
            "input_px": [INPUT_PX, INPUT_PX],
            "resize": "area, whole image, aspect not kept",
            "contrast": CONTRAST,
        }

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Learn the linear layer from all examples; calibrate on each as judged by a layer that had not seen it.

        The folds keep groups whole. Raises ValueError for fewer than 5 good or 3 bad parts.
        """
        check_enough(examples, family=self.family)
        names = {example.defect for example in examples if example.is_bad}
        self._classes = [GOOD, names.pop() if len(names) == 1 else ""]
        network = PeaksNetwork(self._backbone).to(self.device)
        seen = []
        for number, example in enumerate(examples):
            batch = torch.from_numpy(self.prepare(example.pixels)).to(self.device)
            seen.append(network.pooled(batch)[0].double().cpu().numpy())
            if number % 20 == 0:
                progress(0.9 * number / len(examples), f"Looked at {number} of {len(examples)} parts")
        progress(0.9, "Fitting the linear layer")
        linear, evidence = cross_fitted(
            np.stack(seen), examples, regularisation_c=self._options.regularisation_c, seed=seed
        )
        network.set_linear(linear)
        self.network = network
        is_bad = np.array([example.is_bad for example in examples])
        self._calibration = Calibration.of(evidence[~is_bad], evidence[is_bad])
        progress(1.0, "Fitted")

    def prepare(self, image: Image) -> Tiles:
        check_image(image)
        pixels = self.brought_to_size(image).astype(np.float32)
        spread = max(float(pixels.std(dtype=np.float64)), WEAKEST_CONTRAST)
        pixels = (pixels - np.float32(pixels.mean(dtype=np.float64))) * np.float32(CONTRAST / spread)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])

    def state(self) -> State:
        return self._state(self._options)

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        try:
            options = read_options(PeaksOptions, state.metadata["options"])
            predictor = cls(empty_backbone(), options, device=device)
            if len(classes_in(state)) != 2:
                raise ValueError("The model's classes are not whole.")
            predictor._take(state)
        except (KeyError, TypeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        return predictor


def cross_fitted(
    features: NDArray[np.float64], examples: Sequence[Example], *, regularisation_c: float, seed: int
) -> tuple[Linear, NDArray[np.float64]]:
    """The linear layer of all examples, and each one's evidence by a layer that learned from other groups.

    With one group alone single examples are dealt, and the evidence flatters; so it does for an example without whose
    fold nothing could be learned.
    """
    numbers = np.array([int(example.is_bad) for example in examples], dtype=np.intp)

    def fitted(chosen: NDArray[np.intp]) -> Linear:
        return fit_linear(features[chosen], numbers[chosen], classes=2, regularisation_c=regularisation_c)

    whole = fitted(np.arange(len(examples)))
    evidence = bad_evidence(features @ whole.weight.T + whole.bias)
    groups = [example.group for example in examples]
    distinct = len({group or f"#{number}" for number, group in enumerate(groups)})
    if distinct < 2:
        groups, distinct = [""] * len(examples), len(examples)
    folds = np.array(deal_folds(groups, folds=min(FOLDS, distinct), seed=seed), dtype=np.intp)
    for fold in range(int(folds.max()) + 1):
        taught, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if len(np.unique(numbers[taught])) == 2:
            linear = fitted(taught)
            evidence[held] = bad_evidence(features[held] @ linear.weight.T + linear.bias)
    return whole, evidence


def _pooled(maps: Sequence[Tensor]) -> list[Tensor]:
    """The first map's mean, the others' maxima: NxC each."""
    mean, *others = maps
    return [mean.mean(dim=(2, 3)), *(level.amax(dim=(2, 3)) for level in others)]
