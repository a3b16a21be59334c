"""Family `yolo`: import of an ONNX file whose one output is a YOLO head. Decoding is ours; nothing of theirs is used.

Two heads are about, both in pixels of the letterboxed input, x and y being the box's centre:
    v5  1xKx(5+C)  x, y, width, height, objectness, one score per class: probability = objectness * class score
    v8  1x(4+C)xK  x, y, width, height, one probability per class, no objectness (also YOLO11)
The sigmoids are in the graph. Sources: Redmon & Farhadi, YOLOv3 (arXiv:1804.02767), section 2 for objectness times
class; the layouts are those the files themselves show.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vision.manifest import Manifest
from vision.models.imported import Imported
from vision.models.nms import Boxes
from vision.models.placement import Placement
from vision.models.readings import Reading, corners, read_boxes


class Yolo(Imported):
    """The manifest says the input's size and the classes; letterbox with grey 114, RGB and 1/255 are its defaults."""

    family: ClassVar[str] = "yolo"
    tasks: ClassVar[tuple[str, ...]] = ("yolo",)

    def _meaning(self, outputs: dict[str, NDArray[np.float32]], placement: Placement) -> Reading:
        manifest = self._known()
        boxes, scores = decode_head(outputs["head"].astype(np.float64), manifest)
        return read_boxes(boxes, scores, manifest, placement)


def decode_head(head: NDArray[np.float64], manifest: Manifest) -> tuple[Boxes, NDArray[np.float64]]:
    """Boxes x1, y1, x2, y2 in pixels of the input, and a probability for each class: Kx4, KxC.

    Raises ValueError where the head's shape fits neither layout, or both and the manifest does not say which.
    """
    count = len(manifest.classes)
    shape = head.shape
    fits = {
        "v5": head.ndim == 3 and shape[0] == 1 and shape[2] == 5 + count,
        "v8": head.ndim == 3 and shape[0] == 1 and shape[1] == 4 + count,
    }
    matching = [kind for kind, does in fits.items() if does and manifest.head in {"auto", kind}]
    if not matching:
        raise ValueError(
            f"A YOLO head for {count} classes has the shape 1xKx{5 + count} (v5) or 1x{4 + count}xK (v8); this one is "
            f"{'x'.join(map(str, shape))}: the manifest's classes or its head do not fit."
        )
    if len(matching) == 2:
        raise ValueError('This head may be read both ways: say "head": "v5" or "v8" in the manifest.')
    if matching == ["v5"]:
        rows = head[0]
        return corners(rows[:, :4]), rows[:, 4:5] * rows[:, 5:]
    rows = head[0].T
    return corners(rows[:, :4]), rows[:, 4:]
