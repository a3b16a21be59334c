"""Every write of labeling."""

from labeling.actions.datasets import (
    ImportReport,
    NothingToFreezeError,
    freeze_version,
    import_folder,
    make_dataset,
)
from labeling.actions.grades import ContradictingTruthError, grade_closed_cases, record_known_grade

__all__ = [
    "ContradictingTruthError",
    "ImportReport",
    "NothingToFreezeError",
    "freeze_version",
    "grade_closed_cases",
    "import_folder",
    "make_dataset",
    "record_known_grade",
]
