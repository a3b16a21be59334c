"""EfficientAD: where a student that saw good parts alone no longer says what its teacher says.

Source: Batzner, Heckler & König, EfficientAD: Accurate Visual Anomaly Detection at Millisecond-Level Latencies
(arXiv:2303.14535): the student with the hard feature loss and the penalty on foreign pictures of section 3.2, the
autoencoder of section 3.3, the quantiles of section 3.4.

Different from the paper, whose teacher is a small network distilled over ImageNet: no ImageNet is at hand here, and
one that was distilled over the good parts alone had forgotten what a defect looks like (docs/performance.md). So the
teacher is the beginning of the packaged EfficientNet-Lite0, which has seen ImageNet, as it stands; a distilled
teacher of the paper's kind is used where its sha256 is given. In the penalty drawn pictures (`foreign_picture`) take
ImageNet's place. Student and autoencoder are a tenth of the paper's size and learn in thousands of steps instead of
70,000, on one processor core: therefore the hard loss takes a larger share of the differences.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from vision.models.backbone import Backbone, load_backbone
from vision.models.good_parts import EvidenceMap, GoodParts, load_weights, share_of, taught_and_held
from vision.options import read_options
from vision.predictor import Example, Image, Progress, State
from vision.runtime.engine import Raw
from vision.staged import check_finite, module_tensors, tensors_under
from vision.weights import RegisteredWeights, WeightsError, read_weights

TEACHER_FILE = "efficientad-teacher.safetensors"
TEACHER_LEVEL, TEACHER_CHANNELS = 4, 40
HARD_SHARE = 0.02  # of a picture's numbers, those the student knows worst, make its loss; .001 in the paper
QUANTILES = (0.9, 0.995)  # of a map's cells over held-out good parts: they become 0 and .1
BATCH = 2
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-5
PENALTY_EVERY = 4  # batches; the paper penalises in each


@dataclass(frozen=True)
class EfficientAdOptions:
    """What may be set.

    steps           pictures shown to student and autoencoder, each counted as often as it is shown: bounds the fit's time
    teacher_sha256  take efficientad-teacher.safetensors of SECONDLOOK_WEIGHTS for the teacher, if it is this very file
    input_px        side of the square that the whole image is brought to, a multiple of 32
    """

    steps: int = 2400
    teacher_sha256: str = ""
    input_px: int = 224

    def __post_init__(self) -> None:
        if self.steps < BATCH:
            raise ValueError(f"steps is at least {BATCH}, not {self.steps}.")
        if self.input_px < 64 or self.input_px % 32:
            raise ValueError(f"input_px is a multiple of 32 from 64 on, not {self.input_px}.")


class PackagedTeacher(nn.Module):
    """Batch Nx3xSxS -> Nx40xS/8xS/8: the backbone's blocks 0 to 4; each cell knows the 67 pixels around it."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.stem, self.stem_norm, self.relu6 = backbone.stem, backbone.stem_norm, backbone.relu6
        self.blocks = backbone.blocks[: TEACHER_LEVEL + 1]

    def forward(self, batch: Tensor) -> Tensor:
        x = self.relu6(self.stem_norm(self.stem(batch)))
        for block in self.blocks:
            x = block(x)
        return x


class PatchDescription(nn.Module):
    """Batch Nx3xSxS -> NxCxS/8xS/8: each cell is described by the 37 pixels around it and knows no more."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(24, 32, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(32, 48, 3, padding=1)
        self.conv4 = nn.Conv2d(48, 96, 3, padding=1)
        self.conv5 = nn.Conv2d(96, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.conv3(relu(self.conv2(relu(self.conv1(x))))))
        described: Tensor = self.conv5(relu(self.conv4(avg_pool2d(x, kernel_size=2))))
        return described


class Autoencoder(nn.Module):
    """Batch Nx3xSxS -> NxCxS/8xS/8 through 64 numbers: it knows the whole picture, and only roughly."""

    def __init__(self, channels: int, *, input_px: int) -> None:
        super().__init__()
        smallest = input_px // 32
        self.encoder = nn.ModuleList(
            nn.Conv2d(told, said, 4, stride=2, padding=1) for told, said in pairwise((3, 32, 32, 64, 64))
        )
        self.narrow = nn.Conv2d(64, 64, smallest)
        self.widen = nn.ConvTranspose2d(64, 64, smallest)
        self.decoder = nn.ModuleList([nn.Conv2d(64, 64, 3, padding=1) for _ in range(2)])
        self.last = nn.Conv2d(64, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = avg_pool2d(x, kernel_size=2)
        for conv in self.encoder:
            x = relu(conv(x))
        x = relu(self.widen(self.narrow(x)))
        for conv in self.decoder:
            x = relu(conv(interpolate(x, scale_factor=2.0, mode="nearest")))
        described: Tensor = self.last(x)
        return described


class EfficientAdNetwork(nn.Module):
    """Batch Nx3xSxS -> NxS/8xS/8: mean of the two maps, each with its quantiles at 0 and .1.

    mean, deviation  of each of the teacher's channels over good parts
    quantiles        2x2: of the student's map, of the autoencoder's map
    """

    mean: Tensor
    deviation: Tensor
    quantiles: Tensor

    def __init__(self, teacher: nn.Module, *, channels: int, input_px: int) -> None:
        super().__init__()
        self.teacher = teacher.requires_grad_(requires_grad=False)
        self.student = PatchDescription(2 * channels)
        self.autoencoder = Autoencoder(channels, input_px=input_px)
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("deviation", torch.ones(channels, 1, 1))
        self.register_buffer("quantiles", torch.tensor([[0.0, 0.1], [0.0, 0.1]]))

    def start(self, generator: torch.Generator) -> None:
        """Draw the weights of those who learn."""
        for module in (*self.student.modules(), *self.autoencoder.modules()):
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def told(self, batch: Tensor) -> Tensor:
        """What the teacher says, each channel standardised."""
        told: Tensor = (self.teacher(batch) - self.mean) / self.deviation
        return told

    def maps(self, batch: Tensor) -> Tensor:
        """Nx2xS/8xS/8: squared difference of student and teacher, and of student and autoencoder (equation 4)."""
        told, rough = self.told(batch), self.autoencoder(batch)
        as_teacher, as_rough = self.student(batch).chunk(2, dim=1)
        return torch.stack(
            [(told - as_teacher).square().mean(dim=1), (rough - as_rough).square().mean(dim=1)], 1
        )

    def forward(self, batch: Tensor) -> tuple[Tensor]:
        low, high = self.quantiles[:, 0, None, None], self.quantiles[:, 1, None, None]
        return ((0.1 * (self.maps(batch) - low) / (high - low)).mean(dim=1),)


class EfficientAd(GoodParts):
    """Three small networks, of which two learn."""

    family: ClassVar[str] = "efficientad"

    def __init__(
        self, teacher: nn.Module, *, channels: int, device: str, options: EfficientAdOptions
    ) -> None:
        network = EfficientAdNetwork(teacher, channels=channels, input_px=options.input_px)
        super().__init__(network.to(device), device=device)
        self._teacher = teacher
        self._channels = channels
        self._options = options
        self._input_px = options.input_px

    @classmethod
    def new(cls, *, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Self:
        """Raises WeightsError where the wanted teacher is not there, or is another file."""
        chosen = read_options(EfficientAdOptions, options)
        if chosen.teacher_sha256:
            tensors = _read_teacher(weights_folder, sha256=chosen.teacher_sha256)
            teacher, channels = _distilled_teacher(tensors)
            return cls(teacher, channels=channels, device=device, options=chosen)
        packaged = PackagedTeacher(load_backbone(weights_folder=weights_folder, device=device))
        return cls(packaged, channels=TEACHER_CHANNELS, device=device, options=chosen)

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Let student and autoencoder learn from the teacher, set the quantiles and calibrate.

        A fifth of the good groups (at most 100 parts, drawn by seed) teaches nothing.

        Raises ValueError for fewer than 5 good parts.
        """
        taught, held = taught_and_held(examples, seed=seed, family=self.family)
        pictures = np.stack([self._shrink(example.pixels) for example in taught])
        network = EfficientAdNetwork(self._teacher, channels=self._channels, input_px=self._input_px)
        network.start(torch.Generator().manual_seed(seed))
        network.to(self.device)
        # Deterministic convolutions on CUDA too, for this fit alone.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            progress(0, "Listening to the teacher")
            self._standardise(network, pictures)
            told = share_of(progress, start=0.1, end=0.9, doing="Teaching student and autoencoder")
            self._learn(network, pictures, rng=np.random.default_rng(seed), progress=told)
        self._set_quantiles(network, [example for example in held if not example.is_bad])
        self.network = network
        self._has_learned = True
        progress(0.9, "Calibrating on parts that were kept out")
        self.calibrate(held)
        progress(1.0, "Fitted")

    def evidence_map(self, raw: Raw) -> EvidenceMap:
        return raw[0][0]

    def state(self) -> State:
        metadata = self._metadata(asdict(self._options))
        return State(module_tensors(self.network, prefix="network"), metadata)

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        check_finite(state.tensors)
        kept = tensors_under(state.tensors, prefix="network")
        try:
            options = read_options(EfficientAdOptions, state.metadata["options"])
            teacher: nn.Module
            if options.teacher_sha256:
                teacher, channels = _distilled_teacher(tensors_under(kept, prefix="teacher"))
            else:
                backbone = Backbone()
                backbone.fold_batch_norms()
                teacher, channels = PackagedTeacher(backbone), TEACHER_CHANNELS
            predictor = cls(teacher, channels=channels, device=device, options=options)
            predictor._take(state)
        except (KeyError, TypeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        network = predictor.network
        load_weights(network, kept, what="network")
        quantiles, deviation = network.get_buffer("quantiles"), network.get_buffer("deviation")
        if not (bool((quantiles[:, 1] > quantiles[:, 0]).all()) and bool((deviation > 0).all())):
            raise ValueError("The model's quantiles must rise, and its deviations must be above 0.")
        return predictor

    @torch.no_grad()
    def _standardise(self, network: EfficientAdNetwork, pictures: NDArray[np.uint8]) -> None:
        """Mean and deviation of what the teacher says of good parts, channel by channel (algorithm 1)."""
        total = torch.zeros(2, self._channels, dtype=torch.float64)
        for picture in pictures:
            said = network.teacher(self._batch(picture[None]))[0].double().cpu()
            total += torch.stack([said.mean(dim=(1, 2)), said.square().mean(dim=(1, 2))])
        mean, square = total / len(pictures)
        network.mean.copy_(mean.float()[:, None, None])
        network.deviation.copy_((square - mean.square()).clamp_min(1e-8).sqrt().float()[:, None, None])

    def _learn(
        self,
        network: EfficientAdNetwork,
        pictures: NDArray[np.uint8],
        *,
        rng: np.random.Generator,
        progress: Progress,
    ) -> None:
        """Student and autoencoder at once; one lighting-jittered batch serves all three losses, to save time."""
        learners = [*network.student.parameters(), *network.autoencoder.parameters()]
        batches = self._options.steps // BATCH
        optimizer = torch.optim.Adam(learners, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        cooling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=batches)
        for number in range(batches):
            chosen = pictures[rng.integers(len(pictures), size=BATCH)]
            batch = self._batch(np.stack([_jittered(picture, rng) for picture in chosen]))
            with torch.no_grad():
                told = network.told(batch)
            as_teacher, as_rough = network.student(batch).chunk(2, dim=1)
            rough = network.autoencoder(batch)
            loss = (
                _hard(told - as_teacher) + (told - rough).square().mean() + (rough - as_rough).square().mean()
            )
            if number % PENALTY_EVERY == 0:
                foreign = self._batch(foreign_picture(rng, self._input_px)[None])
                loss = loss + network.student(foreign)[:, : self._channels].square().mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            cooling.step()
            progress((number + 1) / batches, f"batch {number + 1} of {batches}")

    @torch.no_grad()
    def _set_quantiles(self, network: EfficientAdNetwork, held: Sequence[Example]) -> None:
        maps = [
            network.maps(torch.from_numpy(self.prepare(example.pixels)).to(self.device))[0]
            for example in held
        ]
        cells = torch.stack(maps, dim=1).flatten(1).double().cpu().numpy()  # 2 x all cells
        low, high = np.quantile(cells, QUANTILES, axis=1)
        if not np.isfinite([low, high]).all():
            raise ValueError("The held-out good parts give maps that are not finite.")
        high = np.maximum(high, low + 1e-9 + 1e-6 * np.abs(low))
        network.quantiles.copy_(torch.from_numpy(np.stack([low, high], axis=1)))

    def _shrink(self, image: Image) -> Image:
        """The image at the network's size: what stays in memory while the networks learn."""
        size = (self._input_px, self._input_px)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def _batch(self, pictures: NDArray[np.uint8]) -> Tensor:
        """NxSxSx3 uint8 -> what `prepare` makes of them, on the device."""
        scaled = (pictures.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)
        batch = torch.from_numpy(scaled).to(self.device).permute(0, 3, 1, 2)
        return batch.contiguous(memory_format=torch.channels_last)


def foreign_picture(rng: np.random.Generator, size_px: int) -> Image:
    """Noise of several grain sizes under a few dozen shapes of every colour: nothing like any part."""
    canvas = np.zeros((size_px, size_px, 3), np.float32)
    for cells in (2, 8, 32, size_px):
        grain = rng.normal(0, 40, (cells, cells, 3)).astype(np.float32)
        canvas += cv2.resize(grain, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    picture = np.clip(canvas + rng.uniform(40, 215), 0, 255).astype(np.uint8)
    return _with_shapes(picture, count=int(rng.integers(5, 40)), largest=0.4, rng=rng)


def _with_shapes(picture: Image, *, count: int, largest: float, rng: np.random.Generator) -> Image:
    """Lines, ellipses and polygons laid over the picture, some see-through, some rough."""
    size = picture.shape[0]
    for _ in range(count):
        x, y = (int(each) for each in rng.integers(0, size, 2))
        reach = max(2.0, largest * size * float(rng.random()) ** 2)
        stamp = np.zeros((size, size), np.uint8)
        kind = rng.integers(3)
        if kind == 0:
            x2, y2 = (int(each) for each in np.array([x, y]) + rng.normal(0, reach, 2))
            cv2.line(stamp, (x, y), (x2, y2), 255, int(rng.integers(1, 4)), cv2.LINE_AA)
        elif kind == 1:
            axes = tuple(int(each) for each in 1 + reach * rng.random(2))
            cv2.ellipse(stamp, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
        else:
            corners = (np.array([x, y]) + rng.normal(0, reach / 2, (int(rng.integers(3, 7)), 2))).astype(
                np.int32
            )
            cv2.fillPoly(stamp, [corners], 255, cv2.LINE_AA)
        colour = rng.uniform(0, 255, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(0, 255))
        rough = rng.normal(0, rng.choice([0, 25]), (size, size, 1))
        cover = stamp[:, :, None] / 255 * rng.uniform(0.3, 1)
        picture = np.clip(picture * (1 - cover) + (colour + rough) * cover, 0, 255).astype(np.uint8)
    return picture


def _jittered(picture: Image, rng: np.random.Generator) -> Image:
    """Brightness, contrast or saturation, one of them, by .8 to 1.2 (section 3.3)."""
    seen = picture.astype(np.float32)
    kind, factor = rng.integers(3), np.float32(rng.uniform(0.8, 1.2))
    centre = (np.float32(0), seen.mean(), seen.mean(axis=2, keepdims=True))[kind]
    return np.clip(centre + (seen - centre) * factor, 0, 255).astype(np.uint8)


def _hard(difference: Tensor) -> Tensor:
    """Mean of the largest HARD_SHARE of the squared differences (section 3.2); NaN counts as largest."""
    squared = difference.square().flatten()
    return squared.topk(max(1, round(HARD_SHARE * len(squared)))).values.mean()


def _read_teacher(folder: Path | None, *, sha256: str) -> dict[str, NDArray[Any]]:
    """The weights of a `PatchDescription` from the file of this sha256, and of no other."""
    if folder is None:
        raise WeightsError(
            f"The option teacher_sha256 needs {TEACHER_FILE} in the folder SECONDLOOK_WEIGHTS."
        )
    named = read_weights(RegisteredWeights("the teacher", TEACHER_FILE, sha256), folder / TEACHER_FILE)
    return {name: value.numpy() for name, value in named.items()}


def _distilled_teacher(tensors: dict[str, NDArray[Any]]) -> tuple[PatchDescription, int]:
    """The teacher of these weights, and its channels; raises ValueError if they are no teacher's."""
    check_finite(tensors)
    if "conv5.bias" not in tensors:
        raise ValueError("These weights are no teacher's: conv5.bias is not among them.")
    channels = len(tensors["conv5.bias"])
    teacher = PatchDescription(channels)
    load_weights(teacher, tensors, what="teacher")
    return teacher, channels
