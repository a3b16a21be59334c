"""Pictures come in from a folder; graded parts and imported pictures are frozen into versions."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from audit.actor import Actor
from audit.transitions import record
from inspection import storage
from inspection.models import Line
from labeling import queries
from labeling.masks import MaskError, keep_mask, read_mask
from labeling.models import Dataset, DatasetImage, DatasetVersion, ImportedImage, Label
from labeling.states import GradeWord, Split
from vision.folder import FolderImage, read_folder
from vision.images import ImageError, decode
from vision.predictor import Mask, Progress, no_progress


class NothingToFreezeError(Exception):
    """The dataset holds no picture yet."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """new: pictures added · known: there already · unreadable: "name: reason" of those left out · painted: masks of
    known pictures that are new or were painted anew
    """

    new: int
    known: int
    unreadable: list[str]
    painted: int = 0


def make_dataset(*, line: Line, name: str, actor: Actor) -> Dataset:
    """Make the dataset, or return the one of this name that the line has."""
    with transaction.atomic():
        dataset, is_new = Dataset.objects.get_or_create(line=line, name=name)
        if is_new:
            record(dataset, "made", actor=actor, details={"line": line.code, "name": name})
    return dataset


def import_folder(
    *,
    dataset: Dataset,
    folder: Path,
    actor: Actor,
    split: Literal["train", "test"] = "train",
    progress: Progress = no_progress,
) -> ImportReport:
    """Copy one split of a folder in MVTec layout into the dataset, with the masks of ground_truth/.

    Importing it again adds nothing but masks that were painted meanwhile. A picture that cannot be read, or whose mask
    is of another size or empty, is left out and named in the report.

    Raises vision.folder.FolderError if the folder is not in MVTec layout.
    """
    pictures = [picture for picture in read_folder(folder) if picture.split == split]
    known = {image.sha256: image for image in ImportedImage.objects.filter(dataset=dataset)}
    rows: list[ImportedImage] = []
    repainted: list[ImportedImage] = []
    unreadable: list[str] = []
    for number, picture in enumerate(pictures):
        progress(number / len(pictures), f"Importing picture {number + 1} of {len(pictures)}")
        data = picture.path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            mask = _mask(picture, data) if sha256 not in known or picture.mask else None
        except (ImageError, MaskError) as problem:
            unreadable.append(f"{picture.path.name}: {problem}")
            continue
        earlier = known.get(sha256)
        if earlier is None:
            known[sha256] = _imported(dataset, folder, picture, data, sha256)
            _paint(known[sha256], mask)
            rows.append(known[sha256])
        elif earlier.pk and _paint(earlier, mask):
            repainted.append(earlier)
    with transaction.atomic():
        ImportedImage.objects.bulk_create(rows, ignore_conflicts=True)
        ImportedImage.objects.bulk_update(repainted, ["mask_file", "mask_sha256"], batch_size=500)
        report = ImportReport(
            len(rows), len(pictures) - len(rows) - len(unreadable), unreadable, len(repainted)
        )
        record(
            dataset,
            "imported",
            actor=actor,
            details={
                "new": report.new,
                "known": report.known,
                "painted": report.painted,
                "unreadable": len(unreadable),
                "split": split,
            },
        )
    progress(1.0, f"Imported {report.new} new pictures")
    return report


def freeze_version(*, dataset: Dataset, actor: Actor) -> DatasetVersion:
    """Freeze every imported picture and every graded part of the line into the dataset's next version.

    If nothing has changed since the newest version, that one is returned. A picture that came more than once is
    taken once, under its oldest group; if people graded the same picture differently, it is left out and counted.

    Raises NothingToFreezeError for an empty dataset.
    """
    with transaction.atomic():
        # The dataset's row is the lock that numbers its versions.
        Dataset.objects.select_for_update().get(pk=dataset.pk)
        contents = queries.contents_of(dataset)
        images = contents.images
        if not images:
            raise NothingToFreezeError(
                f"{dataset} holds no picture yet. Import a folder of good parts, or let inspectors close some cases."
            )
        manifest = manifest_sha256(images)
        newest = queries.newest_version(dataset)
        if newest and newest.manifest_sha256 == manifest:
            return newest
        version = DatasetVersion.objects.create(
            dataset=dataset,
            number=newest.number + 1 if newest else 1,
            frozen_at=timezone.now(),
            manifest_sha256=manifest,
            counts=_counts(dataset, contents),
        )
        for image in images:
            image.version = version
        DatasetImage.objects.bulk_create(images, batch_size=500)
        record(
            version, "frozen", actor=actor, details={"manifest_sha256": manifest, "counts": version.counts}
        )
    return version


def manifest_sha256(images: list[DatasetImage]) -> str:
    """Hash over one sorted line a picture: the same pictures, grades, groups, sides and masks give the same hash."""
    lines = sorted(
        f"{image.sha256}\t{image.grade}\t{image.defect_type}\t{image.group}\t{image.split}"
        + (f"\t{image.mask_sha256}" if image.mask_sha256 else "")
        for image in images
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _imported(
    dataset: Dataset, folder: Path, picture: FolderImage, data: bytes, sha256: str
) -> ImportedImage:
    return ImportedImage(
        dataset=dataset,
        file=storage.write(f"images/{sha256[:2]}/{sha256}", data),
        source_name=picture.path.relative_to(folder).as_posix()[-300:],
        sha256=sha256,
        byte_count=len(data),
        grade=GradeWord(picture.truth),
        defect_type="" if picture.truth == "good" else picture.defect[:64],
        group=picture.group[:200],
        imported_at=timezone.now(),
    )


def _mask(picture: FolderImage, data: bytes) -> Mask | None:
    """Raises ImageError for a picture or a mask that cannot be read, MaskError for a mask that is not the picture's."""
    height, width = decode(data).shape[:2]
    if picture.mask is None or picture.truth == "good":
        return None
    return read_mask(picture.mask.read_bytes(), height=height, width=width)


def _paint(image: ImportedImage, mask: Mask | None) -> bool:
    """Put the mask into the row; False if it has it already, or there is none."""
    if mask is None:
        return False
    file, sha256 = keep_mask(mask)
    is_new = image.mask_sha256 != sha256
    image.mask_file, image.mask_sha256 = file, sha256
    return is_new


def _counts(dataset: Dataset, contents: queries.Contents) -> dict[str, int]:
    images = contents.images

    def how_many(**wanted: Any) -> int:
        return sum(all(getattr(image, name) == value for name, value in wanted.items()) for image in images)

    good, bad = GradeWord.GOOD, GradeWord.BAD
    return {
        "good": how_many(grade=good),
        "bad": how_many(grade=bad),
        "train_good": how_many(split=Split.TRAIN, grade=good),
        "train_bad": how_many(split=Split.TRAIN, grade=bad),
        "holdout_good": how_many(split=Split.HOLDOUT, grade=good),
        "holdout_bad": how_many(split=Split.HOLDOUT, grade=bad),
        "graded": sum(image.part_id is not None for image in images),
        "imported": sum(image.imported_id is not None for image in images),
        "contradicting": contents.contradicting,
        "painted": sum(image.mask_sha256 != "" for image in images),
        "newest_grade": queries.trainable_grades(dataset.line).aggregate(newest=Max("id"))["newest"] or 0,
        "newest_import": ImportedImage.objects.filter(dataset=dataset).aggregate(newest=Max("id"))["newest"]
        or 0,
        "newest_label": Label.objects.filter(part__line=dataset.line_id).aggregate(newest=Max("id"))["newest"]
        or 0,
    }
