"""Read a folder of pictures in MVTec layout, with the truth that its folder names tell.

train/good/*, test/good/*, test/<defect>/*, ground_truth/<defect>/<stem>_mask.png; and, if it is there,
labels.csv with the columns `file` and `group` (images of one physical part share a group).
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import PIL.Image

from vision.images import decode
from vision.predictor import Mask

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


class FolderError(ValueError):
    """The folder is not in MVTec layout; the message says what is missing."""


@dataclass(frozen=True)
class FolderImage:
    """One picture and what is known of it.

    defect  "good" or the defect's folder name
    mask    where defect pixels are 255, if somebody painted them
    group   images of one physical part share it: never split a group between learning and judging
    """

    path: Path
    split: Literal["train", "test"]
    truth: Literal["good", "bad"]
    defect: str
    mask: Path | None
    group: str


def read_folder(folder: Path) -> list[FolderImage]:
    """Every picture, sorted by path; raises FolderError unless train/good holds at least one."""
    if not folder.is_dir():
        raise FolderError(f"There is no folder {folder}.")
    if not (folder / "train" / "good").is_dir():
        raise FolderError(
            f"{folder} has no train/good: pictures of good parts are what a model learns from first."
        )
    groups = _groups(folder / "labels.csv")
    images = []
    splits: tuple[Literal["train", "test"], ...] = ("train", "test")
    for split in splits:
        for path in sorted((folder / split).glob("*/*")):
            if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
                continue
            defect = path.parent.name
            name = path.relative_to(folder).as_posix()
            mask = folder / "ground_truth" / defect / f"{path.stem}_mask.png"
            images.append(
                FolderImage(
                    path=path,
                    split=split,
                    truth="good" if defect == "good" else "bad",
                    defect=defect,
                    mask=mask if mask.exists() else None,
                    group=groups.get(name, name),
                )
            )
    if not any(image.split == "train" and image.truth == "good" for image in images):
        raise FolderError(f"{folder}/train/good holds no picture ({', '.join(sorted(SUFFIXES))}).")
    return images


def read_mask(image: FolderImage) -> Mask | None:
    """Where the defect was painted; None where nobody painted it.

    Raises FolderError for a mask of another size than its picture.
    """
    if image.mask is None:
        return None
    mask: Mask = decode(image.mask.read_bytes())[:, :, 0] > 127
    with PIL.Image.open(image.path) as picture:
        width, height = picture.size
    if mask.shape != (height, width):
        raise FolderError(
            f"{image.mask} has {mask.shape[1]}x{mask.shape[0]} pixels, its picture {width}x{height}."
        )
    return mask


def _groups(table: Path) -> dict[str, str]:
    """Which file belongs to which group; empty where there is no table or it names no groups."""
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as lines:
        rows = csv.DictReader(lines)
        if not {"file", "group"} <= set(rows.fieldnames or ()):
            return {}
        return {row["file"]: row["group"] for row in rows if row["group"]}
