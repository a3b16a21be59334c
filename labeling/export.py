"""A frozen version as a zip in the layouts that other tools read, streamed: never whole in memory."""

import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import PurePosixPath
from typing import Any, cast

import numpy as np
import PIL.Image
from asgiref.sync import sync_to_async

from inspection import storage
from labeling.masks import mask_bytes, mask_of
from labeling.models import DatasetImage, DatasetVersion
from labeling.queries import images_of
from labeling.states import ExportFormat, GradeWord, Split

PAINTED = (
    "Every picture carries the grade of the whole part. {painted} of {bad} bad pictures carry the mask of their painted "
    "defect as well; where the others' defects lie nobody has painted."
)
_README = {
    ExportFormat.MVTEC: "train/ is for learning, test/ (the held-out pictures) for judging. Unlike MVTec AD, train/ may "
    "hold folders of graded bad parts beside good/. ground_truth/<class>/<picture>_mask.png is white where the defect "
    "was painted, for pictures of train/ and test/ alike.",
    ExportFormat.COCO: "One annotation a picture says its category. Where the defect was painted, `segmentation` is its "
    "mask (uncompressed run lengths, column by column) with `bbox` and `area`; elsewhere these are missing.",
    ExportFormat.YOLO: "Layout of YOLO classification: train/<class>/ and val/<class>/. There are no detection labels; "
    "painted masks are in the other two layouts.",
}
_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "BMP": ".bmp", "WEBP": ".webp", "PPM": ".ppm"}


def zip_chunks(version: DatasetVersion, layout: ExportFormat) -> Iterator[bytes]:
    """The bytes of the zip, picture by picture, with labels.csv (sha256, grade, group, side and mask of each)."""
    pipe = _Pipe()
    # Pictures are compressed already, so they are only stored.
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        table = ["file,sha256,label,group,split,mask_sha256"]
        pictures: list[dict[str, Any]] = []
        for image in images_of(version):
            data = storage.read(image.file)
            name, size = _name_and_size(image, data, layout)
            archive.writestr(_entry(name, version), data)
            table.append(
                f'{name},{image.sha256},{_label(image)},"{image.group.replace(chr(34), "")}",{image.split},'
                f"{image.mask_sha256}"
            )
            pictures.append(
                {"file_name": name, "size": size, "label": _label(image), "split": image.split}
                | (_regions(image) if layout == ExportFormat.COCO else {})
            )
            painted = mask_bytes(image) if layout == ExportFormat.MVTEC else None
            if painted is not None:
                stem = PurePosixPath(name).stem
                archive.writestr(_entry(f"ground_truth/{_label(image)}/{stem}_mask.png", version), painted)
            yield pipe.take()
        said = PAINTED.format(**{"painted": 0, **version.counts})
        if layout == ExportFormat.COCO:
            for split in Split.values:
                text = json.dumps(
                    _coco([each for each in pictures if each["split"] == split], said), indent=1
                )
                archive.writestr(_entry(f"annotations/{split}.json", version), text)
        archive.writestr(_entry("labels.csv", version), "\n".join(table) + "\n")
        archive.writestr(_entry("README.txt", version), f"{version}\n\n{_README[layout]}\n{said}\n")
    yield pipe.take()


async def in_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks for an ASGI server, which would otherwise collect all of them before sending the first."""
    while (chunk := await sync_to_async(_next_of)(chunks)) is not None:
        yield chunk


def _next_of(chunks: Iterator[bytes]) -> bytes | None:
    return next(chunks, None)


class _Pipe(io.RawIOBase):
    """What the zip writer writes; `take` hands it on. It cannot seek, so zipfile streams."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        return len(data)

    def take(self) -> bytes:
        taken, self._waiting = bytes(self._waiting), bytearray()
        return taken


def _entry(name: str, version: DatasetVersion) -> zipfile.ZipInfo:
    # The version's own time: the same version gives the same bytes each time.
    return zipfile.ZipInfo(
        name, date_time=cast(tuple[int, int, int, int, int, int], version.frozen_at.timetuple()[:6])
    )


def _label(image: DatasetImage) -> str:
    if image.grade == GradeWord.GOOD:
        return "good"
    cleaned = "".join(each if each.isalnum() or each in "-_" else "_" for each in image.defect_type)
    return cleaned if cleaned not in {"", "good"} else "defect"


def _name_and_size(image: DatasetImage, data: bytes, layout: ExportFormat) -> tuple[str, tuple[int, int]]:
    with PIL.Image.open(io.BytesIO(data)) as picture:  # reads the header only
        suffix, size = _SUFFIXES.get(picture.format or "", ".img"), picture.size
    file = f"{image.sha256[:24]}{suffix}"
    held_out = image.split == Split.HOLDOUT
    match layout:
        case ExportFormat.MVTEC:
            return f"{'test' if held_out else 'train'}/{_label(image)}/{file}", size
        case ExportFormat.YOLO:
            return f"{'val' if held_out else 'train'}/{_label(image)}/{file}", size
        case _:
            return f"images/{file}", size


def _regions(image: DatasetImage) -> dict[str, Any]:
    """The painted mask as COCO tells it; nothing where nobody painted."""
    mask = mask_of(image)
    if mask is None:
        return {}
    columns = mask.T.ravel()
    changes = np.flatnonzero(np.diff(columns)) + 1
    runs = np.diff(np.concatenate([[0], changes, [columns.size]])).tolist()
    rows, lines = np.nonzero(mask)
    left, top = int(lines.min()), int(rows.min())
    return {
        "region": {
            "segmentation": {"size": list(mask.shape), "counts": [0, *runs] if columns[0] else runs},
            "bbox": [left, top, int(lines.max()) - left + 1, int(rows.max()) - top + 1],
            "area": int(mask.sum()),
            "iscrowd": 1,  # so that readers take run lengths
        }
    }


def _coco(pictures: list[dict[str, Any]], said: str) -> dict[str, Any]:
    labels = sorted({picture["label"] for picture in pictures} | {"good"})
    numbers = {label: number for number, label in enumerate(labels, start=1)}
    return {
        "info": {"description": said},
        "categories": [{"id": number, "name": label} for label, number in numbers.items()],
        "images": [
            {
                "id": number,
                "file_name": each["file_name"],
                "width": each["size"][0],
                "height": each["size"][1],
            }
            for number, each in enumerate(pictures, start=1)
        ],
        "annotations": [
            {
                "id": number,
                "image_id": number,
                "category_id": numbers[each["label"]],
                **each.get("region", {}),
            }
            for number, each in enumerate(pictures, start=1)
        ],
    }
