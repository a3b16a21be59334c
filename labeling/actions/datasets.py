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
from inspection.models import Line, Part
from labeling import queries
from labeling.models import Dataset, DatasetImage, DatasetVersion, Grade, ImportedImage
from labeling.splitting import is_held_out
from labeling.states import GradeWord, Split
from vision.folder import FolderImage, read_folder
from vision.images import ImageError, decode
from vision.predictor import Progress, no_progress


class NothingToFreezeError(Exception):
    """The dataset holds no picture yet."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """new: pictures added · known: there already · unreadable: "name: reason" of those left out"""

    new: int
    known: int
    unreadable: list[str]


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
    """Copy one split of a folder in MVTec layout into the dataset; importing it again adds nothing.

    A picture that cannot be read is left out and named in the report.

    Raises vision.folder.FolderError if the folder is not in MVTec layout.
    """
    pictures = [picture for picture in read_folder(folder) if picture.split == split]
    known = set(ImportedImage.objects.filter(dataset=dataset).values_list("sha256", flat=True))
    rows: list[ImportedImage] = []
    unreadable: list[str] = []
    for number, picture in enumerate(pictures):
        progress(number / len(pictures), f"Importing picture {number + 1} of {len(pictures)}")
        data = picture.path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in known:
            continue
        try:
            decode(data)
        except ImageError as problem:
            unreadable.append(f"{picture.path.name}: {problem}")
            continue
        known.add(sha256)
        rows.append(_imported(dataset, folder, picture, data, sha256))
    with transaction.atomic():
        ImportedImage.objects.bulk_create(rows, ignore_conflicts=True)
        report = ImportReport(len(rows), len(pictures) - len(rows) - len(unreadable), unreadable)
        record(
            dataset,
            "imported",
            actor=actor,
            details={"new": report.new, "known": report.known, "unreadable": len(unreadable), "split": split},
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
        images, contradicting = _gather(dataset)
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
            counts=_counts(dataset, images, contradicting),
        )
        for image in images:
            image.version = version
        DatasetImage.objects.bulk_create(images, batch_size=500)
        record(
            version, "frozen", actor=actor, details={"manifest_sha256": manifest, "counts": version.counts}
        )
    return version


def manifest_sha256(images: list[DatasetImage]) -> str:
    """Hash over one sorted line a picture: the same pictures, grades, groups and sides give the same hash."""
    lines = sorted(
        f"{image.sha256}\t{image.grade}\t{image.defect_type}\t{image.group}\t{image.split}"
        for image in images
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def group_of(part: Part) -> str:
    """What must stay on one side of the split with this part: its group, its serial, or the part itself."""
    return str(part.metadata.get("group") or part.serial or part.plc_part_id)[:200]


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


def _gather(dataset: Dataset) -> tuple[list[DatasetImage], int]:
    """Every picture once; how many were left out because their grades contradict each other."""
    found: dict[str, DatasetImage] = {}
    contradicting: set[str] = set()
    for imported in ImportedImage.objects.filter(dataset=dataset).order_by("id"):
        found[imported.sha256] = _image(imported, imported.group, imported=imported)
    for grade in queries.trainable_grades(dataset.line):
        image = grade.part.main_images[0]  # type: ignore[attr-defined] # prefetched by the query
        earlier = found.get(image.sha256)
        if earlier and earlier.grade != grade.grade:
            contradicting.add(image.sha256)
        elif not earlier:
            found[image.sha256] = _image(image, group_of(grade.part), grade=grade)
    return [image for sha256, image in found.items() if sha256 not in contradicting], len(contradicting)


def _image(
    source: Any, group: str, *, grade: Grade | None = None, imported: ImportedImage | None = None
) -> DatasetImage:
    word = grade or imported
    assert word is not None
    return DatasetImage(
        file=source.file,
        sha256=source.sha256,
        grade=word.grade,
        defect_type=word.defect_type,
        group=group,
        split=Split.HOLDOUT if is_held_out(group) else Split.TRAIN,
        part=grade.part if grade else None,
        imported=imported,
    )


def _counts(dataset: Dataset, images: list[DatasetImage], contradicting: int) -> dict[str, int]:
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
        "contradicting": contradicting,
        "newest_grade": queries.trainable_grades(dataset.line).aggregate(newest=Max("id"))["newest"] or 0,
        "newest_import": ImportedImage.objects.filter(dataset=dataset).aggregate(newest=Max("id"))["newest"]
        or 0,
    }
