"""Makes torchvision importable beside a torch that has no CUDA, and without torchvision's compiled operators.

torchvision from the package index is linked against CUDA. On a CPU-only torch its library does not load, and then
the mere `import torchvision` stops with "operator torchvision::nms does not exist". Most of it is plain Python and
needs no compiled operator: models, transforms, box arithmetic. So: whoever imports torchvision, timm or
segmentation-models-pytorch calls `prepare_torchvision` first.

    the compiled library loads     nothing is replaced (any CUDA install, or torchvision's own CPU build)
    it does not load               `nms` and `qnms` are defined here, exact but in Python, and the box operators no
                                   longer insist on the library; roi_align falls back to torchvision's own Python,
                                   which is right but slow (a Faster R-CNN step takes seconds): real training of the
                                   two-stage families belongs on CUDA. Decoding of image files, deformable
                                   convolution and rotated boxes stay unavailable
"""

import importlib
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

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
