"""The words of labeling. Nothing here moves from state to state: a grade stands, a version is frozen."""

from django.db import models

from review.states import Grade as GradeWord

__all__ = ["ExportFormat", "GradeSource", "GradeWord", "Split"]


class GradeSource(models.TextChoices):
    """Whose word a grade is."""

    VERDICT = "verdict", "Verdict of an inspector"
    RULING = "ruling", "Ruling of the quality expert"


class Split(models.TextChoices):
    """What an image is for: learning, or judging what was learned. Never both."""

    TRAIN = "train", "Learning"
    HOLDOUT = "holdout", "Held out for judging"


class ExportFormat(models.TextChoices):
    MVTEC = "mvtec", "MVTec folders"
    COCO = "coco", "COCO JSON"
    YOLO = "yolo", "YOLO classification folders"
