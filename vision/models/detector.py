"""Detection: each defect as a box, or as an instance with its outline, learned from painted defects.

Five families on one frame: SSDLite, FCOS, RetinaNet (one look), Faster R-CNN and Mask R-CNN (two looks); their
networks and sources stand in `vision.models.detector_networks`. The evidence that a part is bad is the logit of its
strongest box; calibrated on parts that were kept out, it is the score. A detector knows what was painted and nothing
else: what nobody has painted yet is for the families that learn from good parts.

The two-stage families are tested on the CPU for a step and a look; training them for real is for CUDA, which runs
the same lines on torchvision's compiled operators.
"""

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logit
from torch import nn

from vision.holdout import hold_out
from vision.models.box_map import draw_boxes
from vision.models.calibration import Calibration
from vision.models.detector_networks import Detecting, build_detector, lite0, resnet_pyramid
from vision.models.detector_targets import Painted, is_painted, painted
from vision.models.instance_map import draw_instances
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

FAINTEST = 1e-4  # of a box's score: fainter ones say nothing
MAP_CELL_PX = 4  # of the network's input
HELD_SHARE = 0.2
TRUNK_SPEED = 0.1  # of the learning rate: the backbone knows much already
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class DetectorOptions:
    """What may be set.

    input_px    side of the square that the whole image is brought to, a multiple of 32
    steps       batches to learn from
    batch       pictures in a batch, half of them painted
    speed       learning rate at its highest
    with_types  tells the defect types apart; otherwise a defect is a defect
    mirror      learns from mirrored pictures too: off where left and right differ on the part
    backbone    lite0 (packaged); resnet50 (weights from SECONDLOOK_WEIGHTS); for ssdlite also mobilenet_v3
    pretrained  False starts the backbone from chance
    """

    input_px: int = 320
    steps: int = 400
    batch: int = 4
    speed: float = 1e-3
    with_types: bool = False
    mirror: bool = True
    backbone: str = "lite0"
    pretrained: bool = True

    def __post_init__(self) -> None:
        if self.input_px < 64 or self.input_px % 32:
            raise ValueError(f"input_px is a multiple of 32 and at least 64, not {self.input_px}.")
        if self.steps < 1 or self.batch < 2:
            raise ValueError("A detector learns in at least 1 step from batches of at least 2 pictures.")
        if not 0 < self.speed < 1:
            raise ValueError(f"speed lies between 0 and 1, not {self.speed}.")


class Detector(Staged, ABC):
    """What the five families share; each names its network."""

    exports_to_onnx: ClassVar[bool] = False  # which boxes are looked at again depends on the picture
    backbones: ClassVar[tuple[str, ...]] = ("lite0", "resnet50")

    def __init__(self, network: Detecting, *, device: str, options: DetectorOptions) -> None:
        super().__init__(network.to(device, memory_format=torch.channels_last), device=device)  # type: ignore[call-overload]
        self._options = options
        self._types: tuple[str, ...] = ("",)
        self._weights_folder: Path | None = None
        self._calibration: Calibration | None = None
        self._taught = {"good": 0, "painted": 0, "left_out_unpainted": 0}

    @classmethod
    def new(cls, *, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Self:
        read = read_options(DetectorOptions, options)
        if read.backbone not in cls.backbones:
            raise ValueError(
                f"{cls.family} looks through {' or '.join(cls.backbones)}, not {read.backbone!r}."
            )
        predictor = cls(cls._built(read, types=1, weights_folder=weights_folder), device=device, options=read)
        predictor._weights_folder = weights_folder
        return predictor

    @classmethod
    def _built(
        cls, options: DetectorOptions, *, types: int, weights_folder: Path | None, is_empty: bool = False
    ) -> Detecting:
        """Untaught but for its backbone, or empty; raises WeightsError if the backbone's weights are not there."""
        backbone: nn.Module | None = None
        if options.backbone == "lite0":
            is_pretrained = options.pretrained and not is_empty
            backbone = lite0(weights_folder=weights_folder, is_pretrained=is_pretrained)
        elif options.backbone == "resnet50":
            backbone = resnet_pyramid(
                weights_folder=weights_folder, is_pretrained=options.pretrained, is_empty=is_empty
            )
        return build_detector(cls.family, backbone=backbone, types=types, input_px=options.input_px)

    @property
    def preprocessing(self) -> dict[str, Any]:
        mean, std = self._normalisation()
        return {
            "colour": "RGB",
            "input_px": [self._options.input_px, self._options.input_px],
            "resize": "area, whole image, aspect not kept",
            "mean": list(mean),
            "std": list(std),
        }

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Learn boxes from good parts and painted bad ones; calibrate on a fifth of the groups, kept out.

        Bad parts that nobody painted teach nothing here (what is bad about them is not known), but they calibrate.
        On the CPU the same examples and seed give the same bits; on CUDA the same up to rounding.

        Raises ValueError if there are too few, or the learning runs away.
        """
        taught, held = _divided(examples, seed=seed)
        lessons = [example for example in taught if is_painted(example) or not example.is_bad]
        bad = [example for example in lessons if example.is_bad]
        self._taught = {
            "good": len(lessons) - len(bad),
            "painted": len(bad),
            "left_out_unpainted": len(taught) - len(lessons),
        }
        self._types = (
            tuple(sorted({example.defect for example in bad})) if self._options.with_types else ("",)
        )
        progress(0.0, f"Looking at {len(lessons)} pictures")
        prepared = [painted(each, self.prepare(each.pixels)[0], types=self._types) for each in lessons]
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            network = self._built(self._options, types=len(self._types), weights_folder=self._weights_folder)
            network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._teach(network, prepared, rng=np.random.default_rng(seed), progress=progress)
        self.network = network
        progress(0.9, "Calibrating on parts that were kept out")
        self.calibrate(held)
        progress(1.0, "Fitted")

    def _teach(
        self, network: Detecting, lessons: Sequence[Painted], *, rng: np.random.Generator, progress: Progress
    ) -> None:
        options = self._options
        optimiser = torch.optim.AdamW(_parameter_groups(network, speed=options.speed), weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            max_lr=[group["lr"] for group in optimiser.param_groups],
            total_steps=options.steps + 1,
            pct_start=0.1,
        )
        network.train()
        for step in range(options.steps):
            chosen = _draw(lessons, count=options.batch, rng=rng)
            if options.mirror:
                chosen = [
                    each.mirrored(across=bool(rng.integers(2)), down=bool(rng.integers(2))) for each in chosen
                ]
            batch = torch.from_numpy(np.stack([each.pixels for each in chosen])).to(self.device)
            loss = network.losses(
                batch.contiguous(memory_format=torch.channels_last),
                [each.target(device=self.device, with_masks=network.has_masks) for each in chosen],
            )
            if not bool(torch.isfinite(loss)):
                raise ValueError(f"The learning ran away at step {step + 1}; try a lower speed.")
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), max_norm=5.0)
            optimiser.step()
            schedule.step()
            progress(0.9 * (step + 1) / options.steps, f"Learned from {step + 1} of {options.steps} batches")
        network.eval()

    def calibrate(self, examples: Sequence[Example]) -> None:
        """Raises ValueError without good parts, and where the evidence is not finite."""
        if self._taught["painted"] == 0:
            raise NotFittedError(f"This {self.family} has not been fitted yet.")
        good, bad = good_and_bad(examples)
        self._calibration = Calibration.of(self._evidence(good), self._evidence(bad))

    def prepare(self, image: Image) -> Tiles:
        check_image(image)
        mean, std = (np.array(each, dtype=np.float32) for each in self._normalisation())
        size = (self._options.input_px, self._options.input_px)
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
        return np.ascontiguousarray(((small - mean) / std).transpose(2, 0, 1)[None])

    def finish(self, raw: Raw, *, height: int, width: int) -> Prediction:
        if self._calibration is None:
            raise NotFittedError(f"This {self.family} has not been fitted yet.")
        cells = self._options.input_px // MAP_CELL_PX
        boxes, scores, labels = (each[0].astype(np.float64) for each in raw[:3])
        if not (np.isfinite(scores).all() and np.isfinite(boxes).all()):
            return Prediction(float("nan"), np.full((cells, cells), np.nan, dtype=np.float32))
        evidence = _logits(scores)
        best = int(np.argmax(evidence))
        probabilities = self._calibration.probability(evidence)
        found = scores > 0
        return Prediction(
            float(probabilities[best]),
            draw_instances(boxes[found], probabilities[found], raw[3][0][found], cells=cells)
            if len(raw) == 4
            else draw_boxes(boxes[found], probabilities[found], height=cells, width=cells),
            self._types[int(labels[best])] if found[best] else "",
        )

    def state(self) -> State:
        if self._calibration is None:
            raise NotFittedError(f"This {self.family} has not been fitted yet.")
        return State(
            module_tensors(self.network, prefix="network"),
            {
                "preprocessing": self.preprocessing,
                "options": asdict(self._options),
                "types": list(self._types),
                "taught": self._taught,
                "calibration": self._calibration.as_json(),
            },
        )

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        tensors, metadata = state
        check_finite(tensors)
        try:
            options = read_options(DetectorOptions, metadata["options"])
            types = tuple(str(each) for each in metadata["types"])
            network = cls._built(options, types=len(types), weights_folder=None, is_empty=True)
            weights = tensors_under(tensors, prefix="network")
            network.load_state_dict(
                {name: torch.from_numpy(np.array(each)) for name, each in weights.items()}
            )
            predictor = cls(network, device=device, options=options)
            if predictor.preprocessing != metadata["preprocessing"]:
                raise ValueError("The model was made with another preprocessing than this version has.")
            predictor._types = types
            predictor._taught = {name: int(metadata["taught"][name]) for name in predictor._taught}
            predictor._calibration = Calibration.from_json(metadata["calibration"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        return predictor

    def _normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if self._options.backbone == "resnet50":
            return IMAGENET_MEAN, IMAGENET_STD
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

    def _evidence(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        raws = (self.engine.run([self.prepare(example.pixels)])[0] for example in examples)
        return np.array([_logits(raw[1][0]).max() for raw in raws], dtype=np.float64)


class SSDLite(Detector):
    """The lightest: depthwise heads on five levels."""

    family: ClassVar[str] = "ssdlite"
    backbones: ClassVar[tuple[str, ...]] = ("lite0", "mobilenet_v3")


class FCOS(Detector):
    """One look, without anchors: every place says how far the edges of its defect are."""

    family: ClassVar[str] = "fcos"


class RetinaNet(Detector):
    """One look, with anchors, and a loss that does not drown few defects in much background."""

    family: ClassVar[str] = "retinanet"


class FasterRCNN(Detector):
    """Two looks: proposals first, then each proposal by itself."""

    family: ClassVar[str] = "faster_rcnn"


class MaskRCNN(Detector):
    """Two looks, and the outline of each defect."""

    family: ClassVar[str] = "mask_rcnn"


def _divided(examples: Sequence[Example], *, seed: int) -> tuple[list[Example], list[Example]]:
    """(taught, held) without a group on both sides, with something to learn and something to calibrate on.

    Raises ValueError where no draw of whole groups gives both.
    """
    for draw in range(20):
        taught, held = hold_out(examples, share=HELD_SHARE, seed=seed + draw)
        if any(is_painted(each) for each in taught) and any(not each.is_bad for each in held):
            return taught, held
    raise ValueError(
        "A detector needs at least one bad part with a painted defect, and good parts of several groups, some of "
        "which calibrate it."
    )


def _draw(lessons: Sequence[Painted], *, count: int, rng: np.random.Generator) -> list[Painted]:
    """A batch, half of it painted."""
    bad = [each for each in lessons if len(each.boxes)]
    good = [each for each in lessons if not len(each.boxes)] or bad
    half = (count + 1) // 2
    return [
        *(bad[number] for number in rng.integers(len(bad), size=half)),
        *(good[number] for number in rng.integers(len(good), size=count - half)),
    ]


def _parameter_groups(network: nn.Module, *, speed: float) -> list[dict[str, Any]]:
    """The backbone learns slower than what is new."""
    named = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
    inside = [value for name, value in named if ".trunk." in name or ".body." in name]
    new = [value for name, value in named if ".trunk." not in name and ".body." not in name]
    groups = [{"params": inside, "lr": TRUNK_SPEED * speed}, {"params": new, "lr": speed}]
    return [group for group in groups if group["params"]]


def _logits(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """NaN stays NaN."""
    return np.asarray(logit(np.clip(scores.astype(np.float64), FAINTEST, 1 - 1e-6)))
