"""The backbone's pooled features alone, as a network that can be exported."""

import torch
from torch import Tensor, nn

from vision.models.backbone import FAR_BLOCK, load_backbone
from vision.models.trunk import Trunk


class Pooled(nn.Module):
    """Batch Nx3xHxW, -1..1 -> Nx384: mean and maximum of the packaged backbone's far block."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(load_backbone(weights_folder=None, device="cpu"), levels=(FAR_BLOCK,))
        self.eval()

    def forward(self, batch: Tensor) -> Tensor:
        (far,) = self.trunk(batch)
        return torch.cat([far.mean(dim=(2, 3)), far.amax(dim=(2, 3))], dim=1)
