"""Every write of inspection: setting up the floor, taking in parts, deciding, disposing, golden configurations."""

from inspection.actions.corrections import CorrectionError, correct, note_applied, reinstate_former
from inspection.actions.decisions import (
    add_map,
    claim_waiting,
    decide,
    dispose,
    hold,
    hold_or_reject,
    release_claims,
)
from inspection.actions.floor import change_mode, degrade_line, restore_line, set_up_line
from inspection.actions.golden import activate_golden, draft_golden, lock_golden, report_readiness
from inspection.actions.intake import (
    Capture,
    DifferentImageError,
    TriggerGapError,
    UnknownViewError,
    capture,
    part_id_of,
    trigger,
)
from inspection.actions.sweep import sweep

__all__ = [
    "Capture",
    "CorrectionError",
    "DifferentImageError",
    "TriggerGapError",
    "UnknownViewError",
    "activate_golden",
    "add_map",
    "capture",
    "change_mode",
    "claim_waiting",
    "correct",
    "decide",
    "degrade_line",
    "dispose",
    "draft_golden",
    "hold",
    "hold_or_reject",
    "lock_golden",
    "note_applied",
    "part_id_of",
    "reinstate_former",
    "release_claims",
    "report_readiness",
    "restore_line",
    "set_up_line",
    "sweep",
    "trigger",
]
