"""The networks that a fine-tuned classifier may stand on: the packaged backbone, or timm's with registered weights.

An architecture without registered weights (`vision.weights`) starts from chance, and the model says so.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vision.models.backbone import Backbone, load_backbone
from vision.models.classifier_network import LITE0_CHANNELS
from vision.models.trunk import Trunk
from vision.weights import EFFICIENTNET_LITE0, WeightsError, read_weights, registered_weights

LITE0 = "lite0"
FROM_CHANCE = "from chance: no weights are registered"
HALF = (0.5, 0.5, 0.5)
_CLASSIFIERS = ("fc.", "classifier.", "head.", "head_dist.")  # of the weights' own task: not ours


@dataclass(frozen=True)
class ClassifierTrunk:
    """A trunk and what comes with it.

    module      batch Nx3xHxW -> tuple of maps, finest first
    channels    of each map
    taught      what fine-tuning may change
    mean, std   of the inputs that it was trained with, of pixels 0..1
    weights     where it starts from, in words
    """

    module: nn.Module
    channels: tuple[int, ...]
    taught: tuple[nn.Module, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: str

    @property
    def starts_from_chance(self) -> bool:
        return self.weights == FROM_CHANCE


def lite0_trunk(backbone: Backbone, *, train_from_block: int) -> ClassifierTrunk:
    """The packaged backbone; blocks before `train_from_block` stay frozen."""
    return ClassifierTrunk(
        Trunk(backbone, levels=tuple(LITE0_CHANNELS)),
        channels=tuple(LITE0_CHANNELS.values()),
        taught=tuple(backbone.blocks[train_from_block:]),
        mean=HALF,
        std=HALF,
        weights=str(EFFICIENTNET_LITE0),
    )


def new_trunk(
    architecture: str, *, input_px: int, train_from_block: int, weights_folder: Path | None, device: str
) -> ClassifierTrunk:
    """Raises ValueError for an unknown architecture, WeightsError for weights that are not the registered ones."""
    if architecture == LITE0:
        backbone = load_backbone(weights_folder=weights_folder, device=device)
        return lite0_trunk(backbone, train_from_block=train_from_block)
    registered = registered_weights(architecture, folder=weights_folder)
    if weights_folder is None or registered is None:
        return timm_trunk(architecture, input_px=input_px, start=None, device=device)
    named = read_weights(registered, weights_folder / registered.file_name)
    return timm_trunk(architecture, input_px=input_px, start=(str(registered), named), device=device)


def empty_trunk(architecture: str, *, input_px: int, train_from_block: int, device: str) -> ClassifierTrunk:
    """The same architecture for weights that a model file brings."""
    if architecture == LITE0:
        backbone = Backbone()
        backbone.fold_batch_norms()
        return lite0_trunk(backbone.to(device), train_from_block=train_from_block)
    return timm_trunk(architecture, input_px=input_px, start=None, device=device)


class TimmTrunk(nn.Module):
    """timm's features as one map; a vision transformer's tokens are laid out as the patches they came from."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net: nn.Module = net
        self._skipped = int(getattr(net, "num_prefix_tokens", 0))
        self._grid: tuple[int, int] | None = (
            net.patch_embed.grid_size if hasattr(net, "patch_embed") else None
        )

    def forward(self, batch: Tensor) -> tuple[Tensor, ...]:
        seen: Tensor = self.net.forward_features(batch)  # type: ignore[operator]
        if self._grid is not None:
            patches = seen[:, self._skipped :].transpose(1, 2)
            seen = patches.reshape(patches.shape[0], patches.shape[1], *self._grid)
        return (seen,)


def timm_trunk(
    architecture: str, *, input_px: int, start: tuple[str, dict[str, Tensor]] | None, device: str
) -> ClassifierTrunk:
    """One of timm's networks without its last layer. Needs requirements-models.txt.

    start  weights in words, and the weights; None for chance
    """
    from vision.torchvision_cpu import (
        prepare_torchvision,
    )  # timm is of the extra set, and imports torchvision

    prepare_torchvision()
    import timm  # as above

    if not timm.is_model(architecture):
        raise ValueError(f"timm has no architecture {architecture!r}.")
    sized = {"img_size": input_px} if architecture.startswith("vit_") else {}
    with torch.random.fork_rng():  # a start from chance is the same every time
        torch.manual_seed(0)
        net: Any = timm.create_model(architecture, pretrained=False, num_classes=0, **sized)
    weights = FROM_CHANCE
    if start is not None:
        weights, named = start
        _fill(net, named, weights=weights)
    module = TimmTrunk(net).eval().to(device)
    return ClassifierTrunk(
        module,
        channels=(int(net.num_features),),
        taught=(module,),
        mean=tuple(net.pretrained_cfg.get("mean", HALF)),
        std=tuple(net.pretrained_cfg.get("std", HALF)),
        weights=weights,
    )


def _fill(net: nn.Module, named: dict[str, Tensor], *, weights: str) -> None:
    """Raises WeightsError unless the weights are of this architecture, but for the last layer."""
    wanted = net.state_dict()
    ours = {name: value for name, value in named.items() if name in wanted}
    strange = [name for name in named if name not in wanted and not name.startswith(_CLASSIFIERS)]
    missing = [name for name in wanted if name not in ours]
    if strange or missing or any(ours[name].shape != wanted[name].shape for name in ours):
        raise WeightsError(f"The weights ({weights}) are of another architecture or input size.")
    net.load_state_dict(ours)
