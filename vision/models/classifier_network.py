"""A trunk, pooled over the image, and a linear layer, whose class-activation map says where the evidence lies.

Source: Zhou et al., Learning Deep Features for Discriminative Localization (arXiv:1512.04150), equations 1 and 2: a
linear layer on average-pooled maps is the average of the same layer laid over every cell. The network lays it over the
cells first and averages afterwards, so logits and map come out of one forward pass and agree by construction.

A small defect hardly moves an average. So beside the mean of a channel the layer may see the mean of its strongest
cells (between the average and the maximum pooling of Boureau et al., A Theoretical Analysis of Feature Pooling in
Visual Recognition, ICML 2010). On the map that part is laid over every cell, as if each were among the strongest: laid
on those alone it would be exact, and a few dots that point at little.
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
    """Batch Nx3xHxW -> logits NxC, class-activation map NxCxhxw.

    Without `top_share` the map's mean over the cells is the logits.

    trunk      gives one or several maps, finest first, each half, a quarter … of the first one's size
    channels   of each of these maps
    top_share  share of a channel's cells, the strongest, that count once more by themselves; 0 for the mean alone
    """

    def __init__(
        self, trunk: nn.Module, *, channels: Sequence[int], classes: int, top_share: float = 0.0
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.layers = _layers(channels, classes)
        self.top_layers = _layers(channels if top_share else (), classes)
        self.bias = nn.Parameter(torch.zeros(classes))
        self._top_share = top_share

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.trunk(batch)
        size = seen[0].shape[-2:]
        logits, cells = self.bias, self.bias[None, :, None, None]
        for number, level in enumerate(seen):
            evidence = shown = self.layers[number](level)
            if self._top_share:
                top_layer = self.top_layers[number]
                evidence = evidence + top_layer(strongest(level, share=self._top_share))
                shown = shown + top_layer(level)
            logits = logits + evidence.mean(dim=(2, 3))
            # Nearest: each coarse cell becomes a block of equal ones, so the mean stays what it was.
            cells = cells + interpolate(shown, size=size, mode="nearest")
        return logits, cells

    @torch.inference_mode()
    def pooled(self, batch: Tensor) -> Tensor:
        """What the linear layer sees: NxC, the levels' channels averaged over their cells, then over the strongest."""
        seen = self.trunk(batch)
        tops = [strongest(level, share=self._top_share) for level in seen] if self._top_share else []
        return torch.cat([level.mean(dim=(2, 3)) for level in [*seen, *tops]], dim=1)

    @torch.no_grad()
    def set_linear(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
        """For `pooled` features: classes x channels of all levels, and one number a class."""
        start = 0
        for layer in [*self.layers, *self.top_layers]:
            assert isinstance(layer, nn.Conv2d)
            part = weight[:, start : start + layer.in_channels]
            layer.weight.copy_(torch.from_numpy(part.astype(np.float32))[:, :, None, None])
            start += layer.in_channels
        self.bias.copy_(torch.from_numpy(bias.astype(np.float32)))


def strongest(level: Tensor, *, share: float) -> Tensor:
    """Each channel's strongest cells, the others 0, scaled so that the mean over all cells is that of the strongest.

    At least one cell stays; where several are equally strong, all of them do.
    """
    cells = level.flatten(2)
    kept = max(1, round(share * cells.shape[2]))
    least = cells.topk(kept, dim=2).values[:, :, -1:]
    is_kept = (cells >= least).to(cells.dtype)
    scaled = cells * is_kept * (cells.shape[2] / is_kept.sum(dim=2, keepdim=True))
    return scaled.reshape(level.shape)


def lite0_network(backbone: Backbone, *, classes: int, top_share: float = 0.0) -> ClassifierNetwork:
    """Three depths of the packaged backbone: fine marks show in the near one, shapes in the far one."""
    trunk = Trunk(backbone, levels=tuple(LITE0_CHANNELS))
    channels = tuple(LITE0_CHANNELS.values())
    return ClassifierNetwork(trunk, channels=channels, classes=classes, top_share=top_share)


def _layers(channels: Sequence[int], classes: int) -> nn.ModuleList:
    return nn.ModuleList([nn.Conv2d(each, classes, kernel_size=1, bias=False) for each in channels])
