"""FastFlow: how likely is what the backbone sees at each place, by a flow learned from good parts?

Source: Yu et al., FastFlow: Unsupervised Anomaly Detection and Localization via 2D Normalizing Flows
(arXiv:2111.07677), section 3: a flow of affine couplings whose small networks are convolutions, 3x3 and 1x1 in turn,
on the feature maps of a frozen backbone; the map is the likelihood at each place, averaged over the levels.
Couplings with soft clamping as in Dinh et al., Real NVP (arXiv:1605.08803), equations 7 and 8; the learned scale
before each of them, started from the data, is ActNorm of Kingma & Dhariwal, Glow (arXiv:1807.03039), section 3.1.

With z = f(x) the negative log-likelihood of a place, in nats a channel, up to a constant, is

    (|z|^2 / 2 - log|det df/dx|) / C

where an affine coupling's log-determinant is a sum over its channels at that very place.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, layer_norm

from vision.models.backbone import Backbone, backbone_from_tensors, backbone_tensors, load_backbone
from vision.models.good_parts import EvidenceMap, GoodParts, load_weights, share_of, taught_and_held
from vision.models.trunk import Trunk
from vision.options import read_options
from vision.predictor import Example, Progress, State
from vision.runtime.engine import Raw
from vision.staged import check_finite, module_tensors, tensors_under

LEVELS = (4, 10)
CHANNELS = (40, 112)
CLAMP = 2.0  # a coupling scales by at most e^2
BATCH = 8
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-5
GRADIENT_LIMIT = 1.0
STARTING_IMAGES = 32  # the first scales are drawn from so many


@dataclass(frozen=True)
class FastFlowOptions:
    """What may be set.

    steps        couplings a level
    epochs       rounds over the good parts
    most_images  good parts taught at most, since their features stay in memory (.2 MB each at 224)
    input_px     side of the square that the whole image is brought to, a multiple of 32
    """

    steps: int = 8
    epochs: int = 20
    most_images: int = 600
    input_px: int = 224

    def __post_init__(self) -> None:
        if min(self.steps, self.epochs, self.most_images) < 1:
            raise ValueError("steps, epochs and most_images are at least 1.")
        if self.input_px < 64 or self.input_px % 32:
            raise ValueError(f"input_px is a multiple of 32 from 64 on, not {self.input_px}.")


class Coupling(nn.Module):
    """One step of the flow: scale and shift each channel, shuffle them, then bend one half by the other.

    NxCxhxw -> the same shape, and log|det| at each place, Nxhxw
    """

    order: Tensor

    def __init__(self, channels: int, *, kernel: int) -> None:
        super().__init__()
        self._half = channels // 2
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.register_buffer("order", torch.arange(channels))
        bent = channels - self._half
        self.first = nn.Conv2d(self._half, self._half, kernel, padding=kernel // 2)
        self.last = nn.Conv2d(self._half, 2 * bent, kernel, padding=kernel // 2)

    def start(self, generator: torch.Generator) -> None:
        """Draw the shuffle and the first layer; with the last layer at zero the half is not bent at first."""
        self.order.copy_(torch.randperm(len(self.order), generator=generator))
        for zero in (*self.first.parameters(), *self.last.parameters(), self.log_scale, self.shift):
            nn.init.zeros_(zero)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu", generator=generator)

    @torch.no_grad()
    def start_from(self, seen: Tensor) -> None:
        """Scale and shift such that these features come out with mean 0 and variance 1."""
        deviation, mean = torch.std_mean(seen, dim=(0, 2, 3))
        self.log_scale.copy_(-deviation.clamp_min(1e-4).log())
        self.shift.copy_(-mean * self.log_scale.exp())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x * self.log_scale.exp()[:, None, None] + self.shift[:, None, None]
        x = x.index_select(1, self.order)
        told, bent = x[:, : self._half], x[:, self._half :]
        scale, shift = self.last(torch.relu(self.first(told))).chunk(2, dim=1)
        scale = CLAMP * (2 / math.pi) * torch.atan(scale / CLAMP)
        x = torch.cat([told, bent * scale.exp() + shift], dim=1)
        return x, scale.sum(dim=1) + self.log_scale.sum()


class Flow(nn.Module):
    """NxCxhxw -> negative log-likelihood at each place, Nxhxw."""

    def __init__(self, channels: int, *, steps: int) -> None:
        super().__init__()
        self.couplings = nn.ModuleList(
            Coupling(channels, kernel=1 if number % 2 else 3) for number in range(steps)
        )

    def _steps(self) -> Iterator[Coupling]:
        yield from cast("Iterator[Coupling]", self.couplings)

    @torch.no_grad()
    def start(self, seen: Tensor, generator: torch.Generator) -> None:
        """Draw what is random, and set each step's scales from what good parts send into it."""
        for coupling in self._steps():
            coupling.start(generator)
            coupling.start_from(seen)
            seen, _ = coupling(seen)

    def forward(self, x: Tensor) -> Tensor:
        gained = x.new_zeros(())
        for coupling in self._steps():
            x, step = coupling(x)
            gained = gained + step
        return (x.square().sum(dim=1) / 2 - gained) / x.shape[1]


class FastFlowNetwork(nn.Module):
    """Batch Nx3xSxS -> NxS/8xS/8: mean over the levels of the negative log-likelihood at each place."""

    def __init__(self, backbone: Backbone, *, steps: int) -> None:
        super().__init__()
        self.trunk = Trunk(backbone, levels=LEVELS)
        self.flows = nn.ModuleList(Flow(channels, steps=steps) for channels in CHANNELS)

    def features(self, batch: Tensor) -> list[Tensor]:
        """The levels, each image standardised over all its channels and places (the paper's layer norm)."""
        return [layer_norm(level, level.shape[1:]) for level in self.trunk(batch)]

    def forward(self, batch: Tensor) -> tuple[Tensor]:
        maps = [flow(level)[:, None] for flow, level in zip(self.flows, self.features(batch), strict=True)]
        fine, coarse = maps[0], interpolate(maps[1], size=maps[0].shape[-2:], mode="bilinear")
        return (((fine + coarse) / 2)[:, 0],)


class FastFlow(GoodParts):
    """Learns the density of good features by gradient; the backbone stays frozen, its features are kept meanwhile."""

    family: ClassVar[str] = "fastflow"

    def __init__(self, backbone: Backbone, *, device: str, options: FastFlowOptions) -> None:
        super().__init__(FastFlowNetwork(backbone, steps=options.steps).to(device), device=device)
        self._backbone = backbone
        self._options = options
        self._input_px = options.input_px

    @classmethod
    def new(cls, *, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Self:
        return cls(
            load_backbone(weights_folder=weights_folder, device=device),
            device=device,
            options=read_options(FastFlowOptions, options),
        )

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Learn one flow a level, and calibrate on parts that were kept out.

        A fifth of the good groups (at most 100 parts, drawn by seed) teaches nothing.

        Raises ValueError for fewer than 5 good parts.
        """
        taught, held = taught_and_held(examples, seed=seed, family=self.family)
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(taught), generator=generator)[: self._options.most_images].tolist()
        network = FastFlowNetwork(self._backbone, steps=self._options.steps).to(self.device)
        levels: list[Tensor] = []
        for number, place in enumerate(chosen):
            batch = torch.from_numpy(self.prepare(taught[place].pixels)).to(self.device)
            with torch.no_grad():
                seen = network.features(batch)
            if number == 0:
                levels = [torch.empty(len(chosen), *level.shape[1:]) for level in seen]
            for kept, level in zip(levels, seen, strict=True):
                kept[number] = level[0]
            progress(0.15 * number / len(chosen), f"Looked at {number} of {len(chosen)} good parts")
        # Deterministic algorithms on CUDA too, for this fit alone.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            for number, (flow, level) in enumerate(zip(network.flows, levels, strict=True)):
                start = 0.15 + 0.375 * number
                told = share_of(
                    progress, start=start, end=start + 0.375, doing=f"Flow {number + 1} of {len(levels)}"
                )
                self._learn(flow, level, generator=generator, progress=told)
        self.network = network
        self._has_learned = True
        progress(0.9, "Calibrating on parts that were kept out")
        self.calibrate(held)
        progress(1.0, "Fitted")

    def evidence_map(self, raw: Raw) -> EvidenceMap:
        return raw[0][0]

    def state(self) -> State:
        metadata = self._metadata(asdict(self._options))
        tensors = {f"backbone.{name}": value for name, value in backbone_tensors(self._backbone).items()}
        return State({**tensors, **module_tensors(self._flows, prefix="flows")}, metadata)

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        tensors, metadata = state
        check_finite(tensors)
        try:
            options = read_options(FastFlowOptions, metadata["options"])
            backbone = backbone_from_tensors(tensors_under(tensors, prefix="backbone"), device=device)
            predictor = cls(backbone, device=device, options=options)
            predictor._take(state)
        except (KeyError, TypeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        load_weights(predictor._flows, tensors_under(tensors, prefix="flows"), what="flow")
        for name, order in predictor._flows.named_buffers():
            if not torch.equal(order.sort().values, torch.arange(len(order), device=order.device)):
                raise ValueError(f"The model's {name} does not put each channel in one place.")
        return predictor

    @property
    def _flows(self) -> nn.Module:
        return self.network.get_submodule("flows")

    def _learn(
        self, flow: nn.Module, seen: Tensor, *, generator: torch.Generator, progress: Progress
    ) -> None:
        """Lower the mean negative log-likelihood of good features, NxCxhxw, by Adam."""
        assert isinstance(flow, Flow)
        flow.start(seen[:STARTING_IMAGES].to(self.device), generator)
        epochs, batches = self._options.epochs, math.ceil(len(seen) / BATCH)
        optimizer = torch.optim.Adam(flow.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        cooling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * batches)
        flow.train()
        for epoch in range(epochs):
            for chosen in torch.split(torch.randperm(len(seen), generator=generator), BATCH):
                loss = flow(seen[chosen].to(self.device)).mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(flow.parameters(), GRADIENT_LIMIT)
                optimizer.step()
                cooling.step()
            progress((epoch + 1) / epochs, f"round {epoch + 1} of {epochs}")
        flow.eval()
