"""Write rendered parts as a folder in MVTec layout, the layout of real inspection data."""

from pathlib import Path

import cv2
import numpy as np

from vision.predictor import Image, Progress
from vision.synthetic.defects import DEFECTS, Defect, Mask
from vision.synthetic.part import render_part


def write_mvtec_folder(
    path: Path, *, good: int, test_good: int, test_bad_per_defect: int, seed: int, progress: Progress
) -> None:
    """Fill the folder; each part depends on the seed and its own number only.

    good                 parts in train/good
    test_good            parts in test/good
    test_bad_per_defect  parts in test/<defect>, each with ground_truth/<defect>/<stem>_mask.png
    """
    jobs: list[tuple[str, Defect | None, int]] = [("train/good", None, number) for number in range(good)]
    jobs += [("test/good", None, number) for number in range(test_good)]
    jobs += [
        (f"test/{defect}", defect, number) for defect in DEFECTS for number in range(test_bad_per_defect)
    ]
    for done, (folder, defect, number) in enumerate(jobs):
        image, mask = _seen_defect(np.random.default_rng([seed, done]), defect)
        _write(path / folder / f"{number:04d}.png", np.ascontiguousarray(image[:, :, ::-1]))
        if defect is not None:
            _write(path / "ground_truth" / defect / f"{number:04d}_mask.png", mask)
        progress((done + 1) / len(jobs), f"Rendered part {done + 1} of {len(jobs)}")


def _seen_defect(rng: np.random.Generator, defect: Defect | None) -> tuple[Image, Mask]:
    """A bad part must show something on its metal: a mark that fell into a hole is drawn again."""
    image, mask = render_part(rng, defect)
    while defect is not None and np.count_nonzero(mask) < 12:
        image, mask = render_part(rng, defect)
    return image, mask


def _write(path: Path, picture: Image | Mask) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded, content = cv2.imencode(".png", picture)
    if not encoded:
        raise ValueError(f"{path} could not be encoded.")
    path.write_bytes(content.tobytes())
