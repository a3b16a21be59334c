"""What is: cases and what people said of them, the line's review policy, known parts, and the inspectors' shifts."""

from review.models.cases import Case, FirstOpinion, Flag, Ruling, Verdict
from review.models.criteria import Appearance, Criterion
from review.models.people import KeyMap, Spell, Watch
from review.models.policy import AuditDraw, Probe, ReviewPolicy

__all__ = [
    "Appearance",
    "AuditDraw",
    "Case",
    "Criterion",
    "FirstOpinion",
    "Flag",
    "KeyMap",
    "Probe",
    "ReviewPolicy",
    "Ruling",
    "Spell",
    "Verdict",
    "Watch",
]
