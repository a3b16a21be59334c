"""More pictures to learn from: good and bad parts in other places and light, and bad parts made of good ones."""

from vision.augment.allowed import AllowedRange
from vision.augment.plan import AugmentPlan, augmented, grown
from vision.augment.synthesis import KINDS, foreground_of, synthetic_bad

__all__ = ["KINDS", "AllowedRange", "AugmentPlan", "augmented", "foreground_of", "grown", "synthetic_bad"]
