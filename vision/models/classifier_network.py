"""A trunk, averaged over the image, and a linear layer: so its class-activation map is exact.

Source: Zhou et al., Learning Deep Features for Discriminative Localization (arXiv:1512.04150), equations 1 and 2: a
linear layer on average-pooled maps is the average of the same layer laid over every cell. The network lays it over the
cells first and averages afterwards, so logits and map come out of one forward pass and agree by construction.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from vision.models.backbone import Backbone
from vision.models.trunk import Trunk

LITE0_CHANNELS = {4: 40, 10: 112, 14: 192}  # backbone block -> channels


class ClassifierNetwork(nn.Module):
    """Batch Nx3xHxW -> logits NxC, class-activation map NxCxhxw whose mean over the cells is the logits.

    trunk     gives one or several maps, finest first, each half, a quarter … of the first one's size
    channels  of each of these maps
    """

    def __init__(self, trunk: nn.Module, *, channels: Sequence[int], classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.layers = nn.ModuleList(
            [nn.Conv2d(each, classes, kernel_size=1, bias=False) for each in channels]
        )
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.trunk(batch)
        size = seen[0].shape[-2:]
        cells = self.bias[None, :, None, None]
        for layer, level in zip(self.layers, seen, strict=True):
            # Nearest: each coarse cell becomes a block of equal ones, so the mean stays what it was.
            cells = cells + interpolate(layer(level), size=size, mode="nearest")
        return cells.mean(dim=(2, 3)), cells

    @torch.inference_mode()
    def pooled(self, batch: Tensor) -> Tensor:
        """What the linear layer sees: the levels' channels, each averaged over its cells: NxC."""
        return torch.cat([level.mean(dim=(2, 3)) for level in self.trunk(batch)], dim=1)

    @torch.no_grad()
    def set_linear(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
        """For `pooled` features: classes x channels of all levels, and one number a class."""
        start = 0
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d)
            part = weight[:, start : start + layer.in_channels]
            layer.weight.copy_(torch.from_numpy(part.astype(np.float32))[:, :, None, None])
            start += layer.in_channels
        self.bias.copy_(torch.from_numpy(bias.astype(np.float32)))


def lite0_network(backbone: Backbone, *, classes: int) -> ClassifierNetwork:
    """Three depths of the packaged backbone: fine marks show in the near one, shapes in the far one."""
    trunk = Trunk(backbone, levels=tuple(LITE0_CHANNELS))
    return ClassifierNetwork(trunk, channels=tuple(LITE0_CHANNELS.values()), classes=classes)
