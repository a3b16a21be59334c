"""Where an image lies in a network's input of fixed size, and the way back."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.manifest import ModelInput
from vision.models.nms import Boxes
from vision.predictor import Image

INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}


@dataclass(frozen=True)
class Placement:
    """The rectangle of the input that the image fills, in pixels of the input; around it lies padding."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def of(cls, wanted: ModelInput, *, height: int, width: int) -> Self:
        """Stretched over the whole input; or, letterbox, as large as fits with its aspect kept, in the middle."""
        if wanted.resize == "stretch":
            return cls(0, 0, wanted.width, wanted.height)
        ratio = min(wanted.height / height, wanted.width / width)
        inner_width = min(wanted.width, max(1, round(width * ratio)))
        inner_height = min(wanted.height, max(1, round(height * ratio)))
        left, top = (wanted.width - inner_width) // 2, (wanted.height - inner_height) // 2
        return cls(left, top, inner_width, inner_height)

    def lay(self, image: Image, wanted: ModelInput) -> Image:
        """The image in its place, padded with the manifest's grey: input height x width x 3."""
        small = cv2.resize(
            image, (self.width, self.height), interpolation=INTERPOLATIONS[wanted.interpolation]
        )
        laid: Image = np.full((wanted.height, wanted.width, 3), wanted.pad_value, dtype=np.uint8)
        laid[self.top : self.top + self.height, self.left : self.left + self.width] = small
        return laid

    def boxes_as_fractions(self, boxes: Boxes) -> Boxes:
        """Boxes in pixels of the input as fractions 0..1 of the image; what lies in the padding is cut off.

        Each axis has its own exact factor: rounding to whole pixels changed the aspect a little.
        """
        corner = np.array([self.left, self.top, self.left, self.top], dtype=np.float64)
        size = np.array([self.width, self.height, self.width, self.height], dtype=np.float64)
        return np.asarray(np.clip((boxes - corner) / size, 0, 1))

    def cells_of_image(self, cells: NDArray[np.float64], wanted: ModelInput) -> NDArray[np.float64]:
        """The part of a map over the whole input that covers the image, edge to edge, at the map's resolution."""
        if (self.width, self.height) == (wanted.width, wanted.height):
            return cells
        x_factor, y_factor = cells.shape[1] / wanted.width, cells.shape[0] / wanted.height
        inner_width = max(1, round(self.width * x_factor))
        inner_height = max(1, round(self.height * y_factor))
        x_step, y_step = self.width * x_factor / inner_width, self.height * y_factor / inner_height
        # Centre of inner cell n: (n + .5) steps from the image's edge; OpenCV counts from the centre of cell 0.
        back = np.array(
            [
                [x_step, 0, self.left * x_factor + 0.5 * x_step - 0.5],
                [0, y_step, self.top * y_factor + 0.5 * y_step - 0.5],
            ]
        )
        inner = cv2.warpAffine(
            cells,
            back,
            (inner_width, inner_height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(inner, dtype=np.float64)
