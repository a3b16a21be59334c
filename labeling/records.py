"""How datasets and grades are told to a screen or a program: plain dictionaries."""

from typing import Any

from django.urls import reverse

from labeling import queries
from labeling.models import Dataset, DatasetVersion, Grade, Label
from labeling.states import ExportFormat
from review.models import Verdict


def dataset_record(dataset: Dataset) -> dict[str, Any]:
    """A dataset with its versions, newest first, and how much is new since the newest."""
    versions = list(dataset.versions.all())
    return {
        "id": dataset.pk,
        "line": dataset.line.code,
        "line_name": dataset.line.name,
        "name": dataset.name,
        "created_at": dataset.created_at,
        "new": queries.news_since(dataset, versions[0] if versions else None),
        "versions": [version_record(version) for version in versions],
    }


def version_record(version: DatasetVersion) -> dict[str, Any]:
    address = reverse("api_export", args=[version.dataset_id, version.number])
    return {
        "id": version.pk,
        "number": version.number,
        "frozen_at": version.frozen_at,
        "manifest_sha256": version.manifest_sha256,
        "counts": version.counts,
        "exports": {layout.value: f"{address}?format={layout}" for layout in ExportFormat},
    }


def grade_record(grade: Grade) -> dict[str, Any]:
    """One graded part of the gallery; `image_url` is None where nobody can be shown an image."""
    part = grade.part
    shown = any(not image.problem for image in part.main_images)  # type: ignore[attr-defined] # prefetched
    return {
        "id": grade.pk,
        "part": part.pk,
        "plc_part_id": part.plc_part_id,
        "line": part.line.code,
        "grade": grade.grade,
        "grade_label": grade.get_grade_display(),
        "defect_type": grade.defect_type,
        "source": grade.source,
        "source_label": grade.get_source_display(),
        "person": grade.person.get_full_name() or grade.person.get_username(),
        "graded_at": grade.graded_at,
        "case": part.pk,
        "part_url": reverse("part", args=[part.pk]),
        "image_url": reverse("part_image", args=[part.pk]) if shown else None,
    }


def label_record(label: Label) -> dict[str, Any]:
    """One painting of a part; the newest of a part stands."""
    return {
        "id": label.pk,
        "part": label.part_id,
        "picture_sha256": label.picture_sha256,
        "mask_sha256": label.mask_sha256,
        "defect_pixels": label.defect_pixels,
        "person": label.person.get_full_name() or label.person.get_username(),
        "painted_at": label.painted_at,
        "mask_url": reverse("api_label_mask", args=[label.pk]),
    }


def proposal_record(verdict: Verdict) -> dict[str, Any]:
    """Boxes that an inspector marked, [x, y, width, height] in image pixels."""
    part = verdict.case.part
    return {
        "id": verdict.pk,
        "part": part.pk,
        "plc_part_id": part.plc_part_id,
        "part_url": reverse("part", args=[part.pk]),
        "image_url": reverse("part_image", args=[part.pk]),
        "marks": verdict.marks,
        "defect_type": verdict.defect_type,
        "given_at": verdict.given_at,
    }
