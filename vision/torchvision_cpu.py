"""Makes torchvision importable beside a torch that has no CUDA, and without torchvision's compiled operators.

torchvision from the package index is linked against CUDA. On a CPU-only torch its library does not load, and then
the mere `import torchvision` stops with "operator torchvision::nms does not exist". Most of it is plain Python and
needs no compiled operator: models, transforms, box arithmetic. So: whoever imports torchvision, timm or
segmentation-models-pytorch calls `prepare_torchvision` first.

    the compiled library loads     nothing is replaced (any CUDA install, or torchvision's own CPU build)
    it does not load               `nms` and `qnms` are defined here, exact but in Python, and the box operators no
                                   longer insist on the library. roi_align gets our sampling: torchvision's own
                                   fallback compiles C++ at its first call, which a station has no compiler for.
                                   Decoding of image files, deformable convolution and rotated boxes are not there
"""

import importlib
import os
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from vision.models.nms import nms

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_lock = threading.Lock()
_ours: list[torch.library.Library] = []  # operators vanish with the object that defined them


class MissingExtraError(ImportError):
    """torchvision is not installed; the message says how to install it."""


def prepare_torchvision() -> None:
    """Load torchvision, with stand-ins for its operators where its library does not load; twice is once.

    Raises MissingExtraError where torchvision is not installed.
    """
    # timm and segmentation-models-pytorch can ask a model hub for weights; a plant's line asks nobody.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with _lock:
        spec = find_spec("torchvision")
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtraError(
                "torchvision is not installed: run script/install-models, or pip install -r requirements-models.txt."
            )
        if _ours or _compiled_library_loads(Path(spec.submodule_search_locations[0])):
            return
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            library.define(name + _SCHEMA)  # type: ignore[no-untyped-call]
            library.impl(name, kept_boxes, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
        _ours.append(library)
        boxes = importlib.import_module("torchvision.ops.boxes")
        boxes._assert_has_ops = _nothing_to_assert  # type: ignore[attr-defined]
        regions = importlib.import_module("torchvision.ops.roi_align")
        regions._roi_align = pooled_regions  # type: ignore[attr-defined]


def has_compiled_operators() -> bool:
    """Whether torchvision's own operators run, once prepared; False: the stand-ins of this module."""
    return not _ours


def kept_boxes(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Greedy non-maximum suppression, as `torchvision::nms`: N boxes -> numbers of those that stay, strongest first.

    A box or score that is not a finite number is never dropped and stands first: dropped, it would look like a part
    without a defect.
    """
    corners = dets.detach().cpu().to(torch.float64).numpy()
    strength = scores.detach().cpu().to(torch.float64).numpy()
    is_whole = np.isfinite(corners).all(axis=1) & np.isfinite(strength)
    whole = np.flatnonzero(is_whole)
    kept = whole[nms(corners[whole], strength[whole], iou_threshold=iou_threshold)]
    return torch.from_numpy(np.concatenate([np.flatnonzero(~is_whole), kept])).to(dets.device)


def pooled_regions(
    features: Tensor, rois: Tensor, scale: float, height: int, width: int, points: int, aligned: bool
) -> Tensor:
    """RoIAlign: each region as a grid of height x width cells, bilinear samples averaged. KxCxheightxwidth.

    features  NxCxHxW
    rois      Kx5: number of the image, then the corners x1, y1, x2, y2 inside that image; times `scale` they are in
              cells of the features
    points    samples a side of each cell; below 1 as many as the region's cells are large
    aligned   pixel centres lie at halves

    Source: He et al., Mask R-CNN (arXiv:1703.06870), section 3.
    """
    corners = rois[:, 1:] * scale - (0.5 if aligned else 0.0)
    sizes = corners[:, 2:] - corners[:, :2]
    if not aligned:
        sizes = sizes.clamp(min=1.0)
    cells = torch.tensor([width, height], device=rois.device)
    counts = torch.ceil(sizes / cells).clamp(min=1).long()
    if points >= 1:
        counts = torch.full_like(counts, points)
    pooled = features.new_zeros(len(rois), features.shape[1], height, width)
    # One call for the regions of one image that are sampled alike.
    alike = torch.cat([rois[:, :1].long(), counts], dim=1)
    for kind in torch.unique(alike, dim=0):
        chosen = torch.nonzero((alike == kind).all(dim=1))[:, 0]
        number, points_x, points_y = (int(each) for each in kind)
        x = _sample_places(corners[chosen, 0], sizes[chosen, 0], count=width * points_x)
        y = _sample_places(corners[chosen, 1], sizes[chosen, 1], count=height * points_y)
        sampled = _sampled(features[number : number + 1], x, y)
        averaged = avg_pool2d(sampled, kernel_size=(points_y, points_x))
        regions = averaged[0].reshape(-1, len(chosen), height, width).transpose(0, 1)
        pooled = pooled.index_put((chosen,), regions)
    return pooled


def _sample_places(start: Tensor, size: Tensor, *, count: int) -> Tensor:
    """KxCount: the middles of `count` equal steps from start to start + size."""
    steps = (torch.arange(count, device=start.device, dtype=start.dtype) + 0.5) / count
    return start[:, None] + size[:, None] * steps


def _sampled(features: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """1xCxHxW at the places KxX, KxY: 1xCx(K*Y)xX, all regions below each other."""
    rows, columns = features.shape[-2:]
    # grid_sample counts from -1 to 1 over the outer edges of the cells.
    across, down = (2 * x + 1) / columns - 1, (2 * y + 1) / rows - 1
    across, down = (
        across[:, None, :].expand(-1, y.shape[1], -1),
        down[:, :, None].expand(-1, -1, x.shape[1]),
    )
    grid = torch.stack([across, down], dim=-1).flatten(0, 1)[None]
    return grid_sample(features, grid.to(features.dtype), padding_mode="border", align_corners=False)


def _compiled_library_loads(folder: Path) -> bool:
    for library in sorted(folder.glob("_C*.so")) + sorted(folder.glob("_C*.pyd")):
        try:
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
        except OSError:
            return False
        return True
    return False


def _nothing_to_assert() -> None:
    """In place of torchvision's check for its library: the operator that follows is ours."""
