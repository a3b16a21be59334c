"""U-Net: learns painted defects pixel by pixel, and looks at the image in tiles at native resolution.

A hair crack is a few pixels wide: shrunk to a network's usual input it is gone. So nothing is shrunk: the image is cut
into overlapping tiles, and their answers are blended into one map.

It learns from good parts and from bad ones with a painted mask. A bad part without a mask says nothing of any pixel:
it is left out of the learning and only helps to set the line from evidence to probability, with the other parts that
were kept out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from vision.holdout import hold_out
from vision.models.calibration import Calibration
from vision.models.tiled_map import TiledMap, check_tiles
from vision.models.unet_crops import Changes, Crops
from vision.models.unet_network import CELL_PX, LITE0, empty_network, new_network
from vision.models.unet_training import WORST_CELLS, Schedule, train
from vision.options import read_options
from vision.predictor import (
    Example,
    FloatMap,
    Image,
    Progress,
    State,
    good_and_bad,
)
from vision.staged import module_tensors, tensors_under

FEWEST_GOOD = 5
FEWEST_PAINTED = 3
FEWEST_GROUPS_TO_SPARE = 5  # of painted parts; with fewer all of them teach
STRIDE_PX = 32  # the deepest level of the network


@dataclass(frozen=True)
class UNetOptions:
    """Cost of a fit is steps * batch crops, however many pictures there are.

    tile_px         side of a tile and of a crop, a multiple of 32
    overlap_px      neighbouring tiles share at least so many pixels
    scale           pictures are scaled by this first; 1 is native
    encoder         lite0 (packaged), or any encoder of segmentation-models-pytorch ("tu-" for timm's)
    weights_sha256  of ENCODER.pth in SECONDLOOK_WEIGHTS; "" starts such an encoder from chance
    rate, encoder_rate  learning rates of the decoder and of the encoder
    flips, rotation_deg, light  how far a picture may be changed and still be of this part type
    pasted_share    of the good crops that get another part's defect laid on them
    held_share      of the groups that are kept out to calibrate; 0: calibrated on what it learned from, which
                    flatters, until `calibrate` is called
    """

    tile_px: int = 256
    overlap_px: int = 64
    scale: float = 1.0
    encoder: str = LITE0
    weights_sha256: str = ""
    steps: int = 300
    batch: int = 8
    rate: float = 1e-3
    encoder_rate: float = 2e-4
    flips: bool = True
    rotation_deg: float = 6.0
    light: float = 0.2
    pasted_share: float = 0.0
    held_share: float = 0.2

    def __post_init__(self) -> None:
        check_tiles(self, step_px=STRIDE_PX)
        if self.steps < 1 or self.batch < 2:
            raise ValueError("steps is at least 1 and batch at least 2.")
        if not (0 < self.rate <= 1 and 0 < self.encoder_rate <= 1):
            raise ValueError("rate and encoder_rate lie above 0 and not above 1.")
        if not (0 <= self.rotation_deg <= 180 and 0 <= self.light <= 1):
            raise ValueError("rotation_deg lies between 0 and 180, light between 0 and 1.")
        if not (0 <= self.pasted_share <= 1 and 0 <= self.held_share <= 0.5):
            raise ValueError("pasted_share lies between 0 and 1, held_share between 0 and 0.5.")


class UNet(TiledMap):
    """For parts whose defects somebody painted."""

    family: ClassVar[str] = "unet"
    cell_px: ClassVar[int] = CELL_PX
    worst: ClassVar[int] = WORST_CELLS

    def __init__(self, network: nn.Module, *, device: str, options: UNetOptions, origin: str) -> None:
        super().__init__(network, device=device, tiles=options)
        self._options = options
        self._origin = origin
        self._weights_folder: Path | None = None

    @classmethod
    def new(cls, *, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Self:
        chosen = read_options(UNetOptions, options)
        with torch.random.fork_rng(devices=[]):
            network, origin = new_network(
                chosen.encoder, weights_folder=weights_folder, weights_sha256=chosen.weights_sha256
            )
        predictor = cls(network, device=device, options=chosen, origin=origin)
        predictor._weights_folder = weights_folder
        return predictor

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {
            "colour": "RGB",
            "tile_px": self._options.tile_px,
            "overlap_px": self._options.overlap_px,
            "scale": self._options.scale,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
        }

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Learn from good and painted bad parts; calibrate on the groups that were kept out.

        Raises ValueError for fewer than 5 good parts or 3 painted ones.
        """
        good, painted, unpainted = check_painted(examples, family=self.family)
        taught, held = kept_out(good, painted, share=self._options.held_share, seed=seed)
        crops = Crops(
            [self._seen(example) for example in taught],
            size_px=self._options.tile_px,
            changes=self._changes,
            rng=np.random.default_rng(seed),
        )
        self._start_anew(seed)
        schedule = Schedule(
            self._options.steps, self._options.batch, self._options.rate, self._options.encoder_rate
        )
        train(
            self.network,
            crops,
            schedule,
            device=self.device,
            progress=lambda fraction, doing: progress(0.9 * fraction, doing),
        )
        self.network = self.network
        self._has_learned = True
        judged = [*(held or taught), *unpainted]
        progress(0.9, f"Calibrating on {len(judged)} parts")
        self.calibrate(judged)
        progress(1.0, f"Fitted. {self._origin}")

    def light(self, picture: Image) -> FloatMap:
        return (picture.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)

    def state(self) -> State:
        metadata = {
            "preprocessing": self.preprocessing,
            "options": asdict(self._options),
            "origin": self._origin,
            "calibration": self._fitted().as_json(),
        }
        return State(module_tensors(self.network, prefix="network"), metadata)

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        tensors, metadata = state
        try:
            options = read_options(UNetOptions, metadata["options"])
            network = empty_network(options.encoder)
            named = tensors_under(tensors, prefix="network")
            network.load_state_dict(
                {name: torch.from_numpy(np.array(value)) for name, value in named.items()}
            )
            network.requires_grad_(requires_grad=False)
            predictor = cls(network, device=device, options=options, origin=str(metadata["origin"]))
            if predictor.preprocessing != metadata["preprocessing"]:
                raise ValueError("The model was made with another preprocessing than this version has.")
            predictor._calibration = Calibration.from_json(metadata["calibration"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        except RuntimeError as error:
            raise ValueError(f"The model's network does not fit its architecture: {error}") from error
        predictor._has_learned = True
        return predictor

    @property
    def _changes(self) -> Changes:
        chosen = self._options
        return Changes(chosen.flips, chosen.rotation_deg, chosen.light, chosen.pasted_share)

    def _start_anew(self, seed: int) -> None:
        """The decoder's first weights by seed; nothing of an earlier fit is left."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network, self._origin = new_network(
                self._options.encoder,
                weights_folder=self._weights_folder,
                weights_sha256=self._options.weights_sha256,
            )
        self.network = network

    def _seen(self, example: Example) -> Example:
        """The example as the network will see it."""
        seen = self._picture(example.pixels)
        mask = None if example.mask is None else self._mask(example.mask, seen)
        return Example(seen, example.is_bad, example.defect, mask, example.group)


def check_painted(
    examples: Sequence[Example], *, family: str
) -> tuple[list[Example], list[Example], list[Example]]:
    """(good, painted, bad without a mask); raises ValueError for too few of the first two."""
    good, bad = good_and_bad(examples)
    painted = [example for example in bad if example.mask is not None and example.mask.any()]
    if len(good) < FEWEST_GOOD or len(painted) < FEWEST_PAINTED:
        raise ValueError(
            f"The family {family} needs at least {FEWEST_GOOD} good parts and {FEWEST_PAINTED} bad ones with a painted "
            f"defect, not {len(good)} and {len(painted)}."
        )
    return good, painted, [example for example in bad if example.mask is None or not example.mask.any()]


def kept_out(
    good: Sequence[Example], bad: Sequence[Example], *, share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """(taught, held): about this share of the groups with a bad part and of those without, whole groups alone.

    With fewer than 5 groups of bad parts all of these teach, and only good parts are held.
    """
    if share == 0:
        return [*good, *bad], []
    with_bad = {example.group for example in bad if example.group}
    mixed = [*(example for example in good if example.group in with_bad), *bad]
    plain = [example for example in good if example.group not in with_bad]
    taught, held = hold_out(plain, share=share, seed=seed) if len(plain) > 1 else (plain, [])
    groups = len(with_bad) + sum(not example.group for example in bad)
    if groups < FEWEST_GROUPS_TO_SPARE:
        return [*taught, *mixed], held
    more_taught, more_held = hold_out(mixed, share=share, seed=seed)
    return [*taught, *more_taught], [*held, *more_held]
