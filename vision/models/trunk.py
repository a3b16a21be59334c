"""What the frozen backbone sees at several depths, as maps: for families that need more than pooled patches."""

from collections.abc import Sequence

import cv2
import numpy as np
from torch import Tensor, nn

from vision.models.backbone import Backbone
from vision.predictor import Image, check_image
from vision.runtime.engine import Tiles


class Trunk(nn.Module):
    """Batch Nx3xHxW, -1..1 -> one map NxCxhxw for each level; blocks behind the last level are not run.

    levels  numbers of backbone blocks, rising: 2 is 24 channels at H/4, 4 is 40 at H/8, 10 is 112 at H/16,
            14 is 192 at H/32
    """

    def __init__(self, backbone: Backbone, *, levels: Sequence[int]) -> None:
        super().__init__()
        self.backbone = backbone
        self._levels = tuple(levels)

    def forward(self, batch: Tensor) -> tuple[Tensor, ...]:
        net = self.backbone
        x = net.relu6(net.stem_norm(net.stem(batch)))
        seen = []
        for number, block in enumerate(net.blocks[: self._levels[-1] + 1]):
            x = block(x)
            if number in self._levels:
                seen.append(x)
        return tuple(seen)


def whole_image(image: Image, *, input_px: int) -> Tiles:
    """The whole image as one tile, 1x3xSxS in -1..1; its aspect is not kept. ValueError if it is no image."""
    check_image(image)
    small = cv2.resize(image, (input_px, input_px), interpolation=cv2.INTER_AREA)
    scaled = (small.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
