"""Images in their true shape on a canvas of fixed size: one scale for all, as one camera has."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import cv2
import numpy as np

from vision.predictor import Image, check_image
from vision.runtime.engine import Tiles

CELL_PX = 16  # canvas pixels to one cell of the defect map
STEP_PX = 32  # the trunk's deepest level: a canvas side is a multiple of it
CONTRAST = 0.4  # standard deviation of every image after `lay`: about that of photographs in -1..1
WEAKEST_CONTRAST = 1.0  # grey levels: a picture of nothing is not blown up to noise
MOST_PX = 4096


@dataclass(frozen=True)
class Canvas:
    """The network's input.

    height, width  pixels, multiples of 32
    scale          canvas pixels to one image pixel
    """

    height: int
    width: int
    scale: float

    @classmethod
    def of(cls, sizes: Sequence[tuple[int, int]], *, input_px: int) -> Self:
        """The scale that gives the median image input_px squared pixels; the canvas holds the largest image.

        sizes  (height, width) of the images to learn from
        """
        scale = input_px / float(np.median([np.sqrt(height * width) for height, width in sizes]))
        tallest, widest = (max(size[side] for size in sizes) * scale for side in (0, 1))
        return cls(_side(tallest), _side(widest), scale)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Raises ValueError unless it is a canvas that `of` could have made."""
        try:
            canvas = cls(int(kept["height"]), int(kept["width"]), float(kept["scale"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"The model's canvas is not whole: {error}.") from error
        sides_fit = all(0 < side <= MOST_PX and side % STEP_PX == 0 for side in (canvas.height, canvas.width))
        if not (sides_fit and np.isfinite(canvas.scale) and canvas.scale > 0):
            raise ValueError(f"The model's canvas cannot be {canvas}.")
        return canvas

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def cells(self, *, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of cells that an image covers, from the canvas's upper left corner.

        An image too large for the canvas is made smaller, its shape kept as far as whole cells allow.
        """
        scale = min(self.scale, self.height / height, self.width / width)
        rows, columns = (max(1, round(side * scale / CELL_PX)) for side in (height, width))
        return min(rows, self.height // CELL_PX), min(columns, self.width // CELL_PX)

    def lay(self, image: Image) -> Tiles:
        """1x4xHxW: the image at its scale, mean 0 and one contrast whatever the exposure; 0 around it. The fourth
        channel is 1 where the image lies and 0 around it.

        Raises ValueError if it is no image.
        """
        check_image(image)
        rows, columns = self.cells(height=image.shape[0], width=image.shape[1])
        size = (columns * CELL_PX, rows * CELL_PX)
        shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
        scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        pixels = scaled.astype(np.float32)
        spread = max(float(pixels.std(dtype=np.float64)), WEAKEST_CONTRAST)
        pixels = (pixels - np.float32(pixels.mean(dtype=np.float64))) * np.float32(CONTRAST / spread)
        tile = np.zeros((1, 4, self.height, self.width), np.float32)
        tile[0, :3, : size[1], : size[0]] = pixels.transpose(2, 0, 1)
        tile[0, 3, : size[1], : size[0]] = 1
        return tile


def _side(pixels: float) -> int:
    """The next multiple of the trunk's step, within what one call of a network may take."""
    return min(MOST_PX, max(1, int(np.ceil(pixels / STEP_PX - 1e-6))) * STEP_PX)
