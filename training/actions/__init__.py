"""Every write of training."""

from training.actions.candidates import accept, activate, decline, make_active
from training.actions.runs import UnknownFamilyError, run_training, start_run, sweep

__all__ = [
    "UnknownFamilyError",
    "accept",
    "activate",
    "decline",
    "make_active",
    "run_training",
    "start_run",
    "sweep",
]
