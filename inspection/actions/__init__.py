"""Every write of inspection: setting up the floor, taking in parts, deciding, disposing, golden configurations."""

from inspection.actions.decisions import begin_inspection, decide, dispose, hold, hold_or_reject
from inspection.actions.floor import change_mode, set_up_line
from inspection.actions.golden import activate_golden, draft_golden, lock_golden
from inspection.actions.intake import (
    Capture,
    DifferentImageError,
    TriggerGapError,
    UnknownViewError,
    capture,
    trigger,
)
from inspection.actions.sweep import sweep

__all__ = [
    "Capture",
    "DifferentImageError",
    "TriggerGapError",
    "UnknownViewError",
    "activate_golden",
    "begin_inspection",
    "capture",
    "change_mode",
    "decide",
    "dispose",
    "draft_golden",
    "hold",
    "hold_or_reject",
    "lock_golden",
    "set_up_line",
    "sweep",
    "trigger",
]
