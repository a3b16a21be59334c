"""What one may ask about grades, labels and datasets."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Prefetch, QuerySet

from inspection.models import Image, Line, Part
from labeling.models import Dataset, DatasetImage, DatasetVersion, Grade, ImportedImage, Label
from labeling.splitting import is_held_out
from labeling.states import GradeWord, Split
from review.models import Case, Verdict
from review.states import CaseKind, CaseState, ClosedBy

Lines = frozenset[str] | None  # codes of lines; None is every line


def ungraded_closed_cases() -> QuerySet[Case]:
    """Cases that people closed and that have no grade yet; a deadline teaches nobody anything."""
    return (
        Case.objects.filter(
            state=CaseState.CLOSED, closed_by__in=[ClosedBy.VERDICT, ClosedBy.RULING], part__grade=None
        )
        .exclude(kind=CaseKind.PROBE)
        .select_related("part", "ruling")
        .prefetch_related(
            Prefetch("verdicts", queryset=Verdict.objects.filter(undone_at=None), to_attr="standing_verdicts")
        )
        .order_by("id")
    )


def overruled_grades() -> QuerySet[Case]:
    """Cases that the expert ruled otherwise than their part is graded, after it was graded; the newest ruling last."""
    return (
        Case.objects.filter(state=CaseState.CLOSED, ruling__ruled_at__gt=F("part__grade__graded_at"))
        .exclude(kind=CaseKind.PROBE)
        .exclude(ruling__grade=F("part__grade__grade"))
        .select_related("part__grade", "ruling__person")
        .order_by("ruling__ruled_at", "id")
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


def parts_on(lines: Lines) -> QuerySet[Part]:
    return Part.objects.all() if lines is None else Part.objects.filter(line__code__in=lines)


def labels_on(lines: Lines) -> QuerySet[Label]:
    """Labels, newest first."""
    labels = Label.objects.select_related("part__line", "person").order_by("-id")
    return labels if lines is None else labels.filter(part__line__code__in=lines)


def proposals_on(lines: Lines) -> QuerySet[Verdict]:
    """Regions that inspectors marked on parts graded bad, as long as nobody has painted the part; newest first."""
    marked = (
        Verdict.objects.filter(undone_at=None, case__part__grade__grade=GradeWord.BAD)
        .exclude(marks=[])
        .exclude(case__kind=CaseKind.PROBE)
        .filter(~Exists(Label.objects.filter(part=OuterRef("case__part"))))
        .select_related("case__part__line", "person")
        .order_by("-id")
    )
    return marked if lines is None else marked.filter(case__part__line__code__in=lines)


def standing_label(part: Part) -> Label | None:
    """The newest painting of the part."""
    return Label.objects.filter(part=part).order_by("-id").first()


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
        "labels": Label.objects.filter(
            part__line=dataset.line_id, id__gt=counts.get("newest_label", 0)
        ).count(),
    }


@dataclass(frozen=True, slots=True)
class Contents:
    """What a version frozen now would hold: unsaved rows, and how many were left out as graded differently."""

    images: list[DatasetImage]
    contradicting: int


def contents_of(dataset: Dataset) -> Contents:
    """Every picture once, under its oldest group, with the painting that stands."""
    found: dict[str, DatasetImage] = {}
    contradicting: set[str] = set()
    for imported in ImportedImage.objects.filter(dataset=dataset).order_by("id"):
        found[imported.sha256] = _frozen(imported, imported, imported.group, imported=imported)
    for grade in trainable_grades(dataset.line):
        image = grade.part.main_images[0]  # type: ignore[attr-defined] # prefetched by the query
        earlier = found.get(image.sha256)
        if earlier and earlier.grade != grade.grade:
            contradicting.add(image.sha256)
        elif not earlier:
            found[image.sha256] = _frozen(image, grade, group_of(grade.part), part=grade.part)
    for label in Label.objects.filter(part__line=dataset.line_id).order_by("id"):  # so the newest stands
        painted = found.get(label.picture_sha256)
        if painted and painted.grade == GradeWord.BAD:
            painted.mask_file, painted.mask_sha256 = label.mask_file, label.mask_sha256
    images = [image for sha256, image in found.items() if sha256 not in contradicting]
    return Contents(images, len(contradicting))


def group_of(part: Part) -> str:
    """What must stay on one side of the split with this part: its group, its serial, or the part itself."""
    return str(part.metadata.get("group") or part.serial or part.plc_part_id)[:200]


def _frozen(source: Any, word: Any, group: str, **origin: Any) -> DatasetImage:
    """source: whose picture it is · word: the grade, and the mask where it came with one"""
    return DatasetImage(
        file=source.file,
        sha256=source.sha256,
        grade=word.grade,
        defect_type=word.defect_type,
        group=group,
        mask_file=getattr(word, "mask_file", ""),
        mask_sha256=getattr(word, "mask_sha256", ""),
        split=Split.HOLDOUT if is_held_out(group) else Split.TRAIN,
        **origin,
    )


def images_of(version: DatasetVersion) -> QuerySet[DatasetImage]:
    return DatasetImage.objects.filter(version=version).order_by("sha256")


def grade_counts(grades: QuerySet[Grade]) -> dict[str, int]:
    counted = dict(grades.order_by().values_list("grade").annotate(count=Count("id")))
    return {"good": counted.get("good", 0), "bad": counted.get("bad", 0), "all": sum(counted.values())}


def versions_on(lines: Lines) -> QuerySet[DatasetVersion]:
    versions = DatasetVersion.objects.select_related("dataset__line").order_by("-id")
    return versions if lines is None else versions.filter(dataset__line__code__in=lines)
