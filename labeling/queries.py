"""What one may ask about grades and datasets."""

from django.db.models import Count, Prefetch, QuerySet

from inspection.models import Image, Line
from labeling.models import Dataset, DatasetImage, DatasetVersion, Grade, ImportedImage
from review.models import Case, Verdict
from review.states import CaseState, ClosedBy

Lines = frozenset[str] | None  # codes of lines; None is every line


def ungraded_closed_cases() -> QuerySet[Case]:
    """Cases that people closed and that have no grade yet; a deadline teaches nobody anything."""
    return (
        Case.objects.filter(
            state=CaseState.CLOSED, closed_by__in=[ClosedBy.VERDICT, ClosedBy.RULING], part__grade=None
        )
        .select_related("part", "ruling")
        .prefetch_related(
            Prefetch("verdicts", queryset=Verdict.objects.filter(undone_at=None), to_attr="standing_verdicts")
        )
        .order_by("part_id")
    )


def grades_on(lines: Lines) -> QuerySet[Grade]:
    """Grades with all that the gallery shows, newest first."""
    grades = (
        Grade.objects.select_related("part", "part__line", "part__station", "person")
        .prefetch_related(
            Prefetch("part__images", queryset=Image.objects.filter(view="main"), to_attr="main_images")
        )
        .order_by("-graded_at", "-id")
    )
    return grades if lines is None else grades.filter(part__line__code__in=lines)


def trainable_grades(line: Line) -> QuerySet[Grade]:
    """Grades of parts with a readable main image, in the order in which the parts came."""
    return (
        Grade.objects.filter(part__line=line, part__images__view="main", part__images__problem="")
        .select_related("part")
        .prefetch_related(
            Prefetch("part__images", queryset=Image.objects.filter(view="main"), to_attr="main_images")
        )
        .order_by("part_id")
    )


def datasets_on(lines: Lines) -> QuerySet[Dataset]:
    datasets = (
        Dataset.objects.select_related("line")
        .prefetch_related(Prefetch("versions", queryset=DatasetVersion.objects.order_by("-number")))
        .order_by("line__code", "name")
    )
    return datasets if lines is None else datasets.filter(line__code__in=lines)


def datasets_of(line: Line) -> QuerySet[Dataset]:
    return Dataset.objects.filter(line=line).order_by("id")


def newest_version(dataset: Dataset) -> DatasetVersion | None:
    return DatasetVersion.objects.filter(dataset=dataset).order_by("-number").first()


def news_since(dataset: Dataset, version: DatasetVersion | None) -> dict[str, int]:
    """How many grades and imported pictures came after the version was frozen."""
    counts = version.counts if version else {}
    return {
        "grades": trainable_grades(dataset.line).filter(id__gt=counts.get("newest_grade", 0)).count(),
        "imported": ImportedImage.objects.filter(
            dataset=dataset, id__gt=counts.get("newest_import", 0)
        ).count(),
    }


def images_of(version: DatasetVersion) -> QuerySet[DatasetImage]:
    return DatasetImage.objects.filter(version=version).order_by("sha256")


def grade_counts(grades: QuerySet[Grade]) -> dict[str, int]:
    counted = dict(grades.order_by().values_list("grade").annotate(count=Count("id")))
    return {"good": counted.get("good", 0), "bad": counted.get("bad", 0), "all": sum(counted.values())}


def versions_on(lines: Lines) -> QuerySet[DatasetVersion]:
    versions = DatasetVersion.objects.select_related("dataset__line").order_by("-id")
    return versions if lines is None else versions.filter(dataset__line__code__in=lines)
