"""How PatchCore looks at a picture: what its network is given, and where the network's cells lie in the picture."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from vision.models.backbone import PATCH_CHANNELS, Backbone
from vision.models.canvas import CELL_PX, Canvas
from vision.models.trunk import Trunk, whole_image
from vision.predictor import FloatMap, Image, NotFittedError, check_image
from vision.preprocess.tiling import Layout, stitch
from vision.runtime.engine import Tiles

INPUT_PX = 224
GRID = 28
GRID_PX = INPUT_PX // GRID
SHARED_CELLS = 8  # of two neighbouring tiles: a cell at a tile's border sees only half of what is around it
DEEP_LEVELS = (7, 10, 14)  # 80 and 112 channels at H/16, 192 at H/32
DEEP_CELLS_PX = (16, 16, 32)
DEEP_CHANNELS = 384
SMOOTHING_CELLS = 1.0  # section 3.3 of the paper smooths the map too, by less
SMOOTHING = f"Gaussian of {SMOOTHING_CELLS} cells"
SMALLEST_SHARE = 1e-6  # far from the image there is nothing to average: 0 instead of 0 / 0, and never read


class SquarePatches(nn.Module):
    """Batch Nx3x224x224 -> Nx28x28x152: blocks 4 and 10, each cell averaged with its neighbours."""

    channels = PATCH_CHANNELS

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, batch: Tensor) -> Tensor:
        patches: Tensor = self.backbone(batch).patches
        return patches.reshape(-1, GRID, GRID, PATCH_CHANNELS)


class DeepPatches(nn.Module):
    """Batch Nx4xHxW -> Nx(H/16)x(W/16)x384: blocks 7, 10 and 14, each cell averaged with its neighbours.

    Only what the image covers (the fourth channel) counts in an average: a cell at the image's edge that took in the
    empty canvas beside it would be unlike all others, and hide what is wrong with it. The rule is normalised
    convolution (Knutsson & Westin, CVPR 1993).
    """

    channels = DEEP_CHANNELS

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.trunk = Trunk(backbone, levels=DEEP_LEVELS)

    def forward(self, batch: Tensor) -> Tensor:
        covered = batch[:, 3:]
        levels = []
        for level, cell_px in zip(self.trunk(batch[:, :3]), DEEP_CELLS_PX, strict=True):
            share = avg_pool2d(covered, kernel_size=cell_px)
            sums, shares = _near_sums(level * share), _near_sums(share)
            if cell_px != CELL_PX:
                sums, shares = (
                    interpolate(each, scale_factor=cell_px / CELL_PX, mode="bilinear")
                    for each in (sums, shares)
                )
            levels.append(sums / shares.clamp_min(SMALLEST_SHARE))
        return torch.cat(levels, dim=1).permute(0, 2, 3, 1).contiguous()


def _near_sums(level: Tensor) -> Tensor:
    """Mean of each cell and its eight neighbours, those beyond the border counted as 0."""
    return avg_pool2d(level, kernel_size=3, stride=1, padding=1)


Patches = SquarePatches | DeepPatches


class View(ABC):
    """One way to look.

    patches  the network's first part: a batch of tiles -> TxRxCxD, one row of D numbers for each cell
    """

    name: ClassVar[str]
    patches: Patches

    @property
    @abstractmethod
    def preprocessing(self) -> dict[str, Any]:
        """As JSON, for the golden configuration."""

    def learn(self, sizes: Sequence[tuple[int, int]]) -> None:  # noqa: B027 - most views learn nothing
        """Height and width of the good parts' pictures, before the first of them is prepared."""

    @abstractmethod
    def prepare(self, image: Image) -> Tiles: ...

    @abstractmethod
    def rows(self, patches: Tensor, *, height: int, width: int) -> Tensor:
        """NxD: the patches TxRxCxD that show something of a picture of height x width."""

    @abstractmethod
    def map_of(self, cells: NDArray[np.float32], *, height: int, width: int) -> FloatMap:
        """The cells TxRxC as one map of the picture. A NaN stays one."""


class SquareView(View):
    """The whole picture, stretched."""

    name = "square"

    def __init__(self, backbone: Backbone) -> None:
        self.patches = SquarePatches(backbone)

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {
            "colour": "RGB",
            "input_px": [INPUT_PX, INPUT_PX],
            "resize": "area, whole image, aspect not kept",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "smoothing": SMOOTHING,
        }

    def prepare(self, image: Image) -> Tiles:
        return whole_image(image, input_px=INPUT_PX)

    def rows(self, patches: Tensor, *, height: int, width: int) -> Tensor:
        return patches.flatten(0, 2)

    def map_of(self, cells: NDArray[np.float32], *, height: int, width: int) -> FloatMap:
        return _smoothed(cells[0])


class TrueShapeView(View):
    """The picture in its shape on a canvas; the canvas is as large as the good parts need it.

    input_px  side of the square with as many pixels as the median picture gets
    """

    name = "true_shape"

    def __init__(self, backbone: Backbone, *, input_px: int, canvas: Canvas | None = None) -> None:
        self.patches = DeepPatches(backbone)
        self._input_px = input_px
        self._canvas = canvas

    @property
    def preprocessing(self) -> dict[str, Any]:
        known = {"canvas": self._canvas.as_json()} if self._canvas else {}
        return {
            "colour": "RGB",
            "resize": "one scale, aspect kept, in the upper left corner of the canvas, which counts in no average",
            "contrast": "each image to mean 0 and standard deviation 0.4",
            "smoothing": SMOOTHING,
            **known,
        }

    def learn(self, sizes: Sequence[tuple[int, int]]) -> None:
        self._canvas = Canvas.of(sizes, input_px=self._input_px)

    def prepare(self, image: Image) -> Tiles:
        return self._fitted().lay(image)

    def rows(self, patches: Tensor, *, height: int, width: int) -> Tensor:
        rows, columns = self._fitted().cells(height=height, width=width)
        return patches[0, :rows, :columns].flatten(0, 1)

    def map_of(self, cells: NDArray[np.float32], *, height: int, width: int) -> FloatMap:
        rows, columns = self._fitted().cells(height=height, width=width)
        return _smoothed(cells[0][:rows, :columns])

    def _fitted(self) -> Canvas:
        if self._canvas is None:
            raise NotFittedError("This PatchCore has not been fitted yet.")
        return self._canvas


def _smoothed(cells: NDArray[np.float32]) -> FloatMap:
    """Neighbours say what one cell alone may say by chance; a NaN spreads and stays one."""
    smooth = cv2.GaussianBlur(
        np.ascontiguousarray(cells), (0, 0), SMOOTHING_CELLS, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(smooth, dtype=np.float32)


class TiledView(View):
    """The picture at native resolution, in tiles that share 64 pixels; the last cells may reach 7 pixels beyond it."""

    name = "tiles"

    def __init__(self, backbone: Backbone) -> None:
        self.patches = SquarePatches(backbone)

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {
            "colour": "RGB",
            "tile_px": INPUT_PX,
            "shared_px": SHARED_CELLS * GRID_PX,
            "resize": "none; mirrored outwards to whole cells, and to one tile at least",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
        }

    def prepare(self, image: Image) -> Tiles:
        check_image(image)
        return np.concatenate([whole_image(each, input_px=INPUT_PX) for each in _cut(image)])

    def rows(self, patches: Tensor, *, height: int, width: int) -> Tensor:
        return patches.flatten(0, 2)

    def map_of(self, cells: NDArray[np.float32], *, height: int, width: int) -> FloatMap:
        return stitch(cells, _layout(height, width))


def _layout(height: int, width: int) -> Layout:
    """The tiles in cells, so that neighbours' cells lie on each other."""
    return Layout(-(-height // GRID_PX), -(-width // GRID_PX), GRID, SHARED_CELLS)


def _cut(image: Image) -> Iterator[Image]:
    height, width = image.shape[:2]
    layout = _layout(height, width)
    top, below, left, right = (GRID_PX * cells for cells in layout.padding)
    below += layout.height * GRID_PX - height
    right += layout.width * GRID_PX - width
    padded = np.asarray(cv2.copyMakeBorder(image, top, below, left, right, cv2.BORDER_REFLECT_101), np.uint8)
    for row, column in layout.places:
        y, x = GRID_PX * row, GRID_PX * column
        yield padded[y : y + INPUT_PX, x : x + INPUT_PX]


VIEWS = (SquareView.name, TrueShapeView.name, TiledView.name)


def new_view(name: str, backbone: Backbone, *, input_px: int) -> View:
    if name == TrueShapeView.name:
        return TrueShapeView(backbone, input_px=input_px)
    return TiledView(backbone) if name == TiledView.name else SquareView(backbone)


def view_from(preprocessing: Mapping[str, Any], backbone: Backbone) -> View:
    """The view that said this of itself. Raises ValueError if none of today's views says just that."""
    view: View
    if "canvas" in preprocessing:
        canvas = Canvas.from_json(preprocessing["canvas"])
        view = TrueShapeView(backbone, input_px=INPUT_PX, canvas=canvas)
    else:
        view = TiledView(backbone) if "tile_px" in preprocessing else SquareView(backbone)
    if view.preprocessing != preprocessing:
        raise ValueError("The model was made with another preprocessing than this version has.")
    return view
