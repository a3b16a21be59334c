"""Every write of labeling."""

from labeling.actions.datasets import (
    ImportReport,
    NothingToFreezeError,
    freeze_version,
    import_folder,
    make_dataset,
)
from labeling.actions.grades import ContradictingTruthError, grade_closed_cases, record_known_grade
from labeling.actions.labels import NotPaintableError, paint_label, take_proposal

__all__ = [
    "ContradictingTruthError",
    "ImportReport",
    "NotPaintableError",
    "NothingToFreezeError",
    "freeze_version",
    "grade_closed_cases",
    "import_folder",
    "make_dataset",
    "paint_label",
    "record_known_grade",
    "take_proposal",
]
