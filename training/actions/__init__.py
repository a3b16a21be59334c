"""Every write of training."""

from training.actions.candidates import accept, activate, decline, make_active
from training.actions.runs import RunGoesOnError, run_training, start_run, sweep
from training.recipes import RecipeError, UnknownFamilyError

__all__ = [
    "RecipeError",
    "RunGoesOnError",
    "UnknownFamilyError",
    "accept",
    "activate",
    "decline",
    "make_active",
    "run_training",
    "start_run",
    "sweep",
]
