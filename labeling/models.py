"""Grades (the truth of whole parts), labels (painted defects), pictures from folders, and frozen dataset versions."""

from typing import Any, ClassVar, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import Q

from inspection.models import Line, Part
from labeling.states import GradeSource, GradeWord, Split


class FrozenVersionError(Exception):
    """A dataset version, or an image of one, was to be changed."""


class Grade(models.Model):
    """The truth of one whole part as people found it when its case was closed."""

    part = models.OneToOneField(Part, on_delete=models.PROTECT, related_name="grade")
    grade = models.CharField(max_length=8, choices=GradeWord.choices)
    defect_type = models.CharField(max_length=64, blank=True, default="")
    source = models.CharField(max_length=8, choices=GradeSource.choices)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="grades")
    graded_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(grade__in=GradeWord.values), name="a_grade_is_good_or_bad"),
            models.CheckConstraint(
                condition=Q(source__in=GradeSource.values), name="a_grade_comes_from_a_verdict_or_a_ruling"
            ),
        ]


class KnownTruth(models.Model):
    """Truth that is known without a person: from a test folder, or a measured part.

    Only reports read it. It is a table of its own so that it can never slip into a dataset.
    """

    part = models.OneToOneField(Part, on_delete=models.PROTECT, related_name="known_truth")
    grade = models.CharField(max_length=8, choices=GradeWord.choices)
    defect_type = models.CharField(max_length=64, blank=True, default="")
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(grade__in=GradeWord.values), name="a_known_truth_is_good_or_bad"
            ),
        ]


class Label(models.Model):
    """The painted defect of one part's picture. Nothing is overpainted: a repaint is a row of its own, the newest stands.

    picture_sha256  the very picture that was painted on
    mask_file       as large as the picture, white where the defect is; kept once under its sha256
    """

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="labels")
    picture_sha256 = models.CharField(max_length=64)
    mask_file = models.CharField(max_length=200)
    mask_sha256 = models.CharField(max_length=64)
    defect_pixels = models.PositiveIntegerField()
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="labels")
    painted_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(defect_pixels__gt=0), name="a_label_paints_something"),
            models.CheckConstraint(condition=~Q(mask_sha256=""), name="a_label_names_its_mask"),
        ]


class Dataset(models.Model):
    """The growing collection of one line; what is trained on are its frozen versions."""

    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="datasets")
    name = models.CharField(max_length=100)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["line", "name"], name="a_dataset_has_its_name_on_its_line"),
        ]

    def __str__(self) -> str:
        return self.name


class ImportedImage(models.Model):
    """One picture that came from a folder, with the grade that the folder's name tells.

    group  pictures of one physical part share it: they are never split between learning and judging
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="imported_images")
    file = models.CharField(max_length=200)
    source_name = models.CharField(max_length=300)
    sha256 = models.CharField(max_length=64)
    byte_count = models.PositiveIntegerField()
    grade = models.CharField(max_length=8, choices=GradeWord.choices)
    defect_type = models.CharField(max_length=64, blank=True, default="")
    group = models.CharField(max_length=200)
    mask_file = models.CharField(max_length=200, blank=True, default="")
    mask_sha256 = models.CharField(max_length=64, blank=True, default="")
    imported_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["dataset", "sha256"], name="a_dataset_imports_a_picture_once"),
            models.CheckConstraint(
                condition=Q(grade__in=GradeWord.values), name="an_imported_picture_is_good_or_bad"
            ),
            models.CheckConstraint(
                condition=Q(mask_sha256="") | Q(grade=GradeWord.BAD),
                name="only_a_bad_imported_picture_has_a_mask",
            ),
        ]


class Frozen(models.Model):
    """Written once, never changed, never deleted."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise FrozenVersionError("A dataset version is frozen: freeze a new one instead.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise FrozenVersionError("A dataset version is frozen: models were trained on it.")


class DatasetVersion(Frozen):
    """All that the dataset held at one moment, under the hash of its manifest.

    counts  {"good", "bad", "train_good", "train_bad", "holdout_good", "holdout_bad", "graded", "imported",
             "contradicting", "painted"} and the newest grade, import and label that were looked at
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    frozen_at = models.DateTimeField()
    manifest_sha256 = models.CharField(max_length=64)
    counts = models.JSONField(default=dict)

    class Meta:
        verbose_name = "dataset version"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["dataset", "number"], name="a_dataset_version_has_its_number"),
        ]

    def __str__(self) -> str:
        return f"{self.dataset.name} version {self.number}"


class DatasetImage(Frozen):
    """One picture in one version: what it shows, where its defect was painted by then, and what it is for."""

    version = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="images")
    file = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    grade = models.CharField(max_length=8, choices=GradeWord.choices)
    defect_type = models.CharField(max_length=64, blank=True, default="")
    group = models.CharField(max_length=200)
    mask_file = models.CharField(max_length=200, blank=True, default="")
    mask_sha256 = models.CharField(max_length=64, blank=True, default="")
    split = models.CharField(max_length=8, choices=Split.choices)
    part = models.ForeignKey(Part, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    imported = models.ForeignKey(
        ImportedImage, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "sha256"], name="a_version_holds_a_picture_once"),
            models.CheckConstraint(
                condition=Q(part__isnull=False, imported__isnull=True)
                | Q(part__isnull=True, imported__isnull=False),
                name="a_dataset_image_is_of_a_part_or_imported",
            ),
            models.CheckConstraint(
                condition=Q(grade__in=GradeWord.values), name="a_dataset_image_is_good_or_bad"
            ),
            models.CheckConstraint(
                condition=Q(mask_sha256="") | Q(grade=GradeWord.BAD),
                name="only_a_bad_dataset_image_has_a_mask",
            ),
            models.CheckConstraint(
                condition=Q(split__in=Split.values), name="a_dataset_image_is_for_learning_or_judging"
            ),
        ]
