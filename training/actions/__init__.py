"""Every write of training."""

from training.actions.candidates import accept, activate, decline, make_active
from training.actions.runs import RunGoesOnError, freeze_and_train, run_training, start_run, sweep
from training.recipes import RecipeError, UnknownFamilyError

__all__ = [
    "RecipeError",
    "RunGoesOnError",
    "UnknownFamilyError",
    "accept",
    "activate",
    "decline",
    "freeze_and_train",
    "make_active",
    "run_training",
    "start_run",
    "sweep",
]
