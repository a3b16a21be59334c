"""What may follow what: parts, golden configurations, and the words of the PLC's reason codes."""

from django.db import models


class PartState(models.TextChoices):
    TRIGGERED = "triggered", "Triggered"
    CAPTURED = "captured", "Captured"
    INSPECTED = "inspected", "Inspected"
    HELD = "held", "Held"
    DISPOSED = "disposed", "Disposed"


PART_TRANSITIONS: dict[str, frozenset[str]] = {
    PartState.TRIGGERED: frozenset({PartState.CAPTURED, PartState.HELD, PartState.DISPOSED}),
    PartState.CAPTURED: frozenset({PartState.INSPECTED, PartState.HELD, PartState.DISPOSED}),
    PartState.INSPECTED: frozenset({PartState.HELD, PartState.DISPOSED}),
    PartState.HELD: frozenset({PartState.DISPOSED}),
    PartState.DISPOSED: frozenset(),
}


class GoldenState(models.TextChoices):
    DRAFT = "draft", "Draft"
    LOCKED = "locked", "Locked"
    ACTIVE = "active", "Active"
    RETIRED = "retired", "Retired"


GOLDEN_TRANSITIONS: dict[str, frozenset[str]] = {
    GoldenState.DRAFT: frozenset({GoldenState.LOCKED}),
    GoldenState.LOCKED: frozenset({GoldenState.ACTIVE}),
    GoldenState.ACTIVE: frozenset({GoldenState.RETIRED}),
    GoldenState.RETIRED: frozenset({GoldenState.ACTIVE}),
}


class Mode(models.TextChoices):
    TWO_TIER = "two_tier", "Two-tier: people judge grey parts"
    AUTOMATIC = "automatic", "Automatic: grey parts are rejected"


class Decision(models.TextChoices):
    """What the model says."""

    GOOD = "GOOD", "Good"
    GREY = "GREY", "Grey"
    BAD = "BAD", "Bad"


class Outcome(models.TextChoices):
    """What happens to the part."""

    PASS = "PASS", "Pass"
    REJECT = "REJECT", "Reject"
    HOLD = "HOLD", "Hold"


class Source(models.IntegerChoices):
    """Who decided; the numbers are the PLC's (HANDSHAKE: UDT VIS_Disp.Source)."""

    MODEL = 1, "Model"
    HUMAN = 2, "Human"
    FAIL_SAFE = 3, "Fail-safe default"
    CHANGED = 4, "Changed verdict"


class Reason(models.IntegerChoices):
    """Why a part was held or disposed; the numbers go to the PLC as UDT VIS_Disp.Reason."""

    CLEAR = 0, "Clear decision of the model"
    GREY_BAND = 1, "Score in the grey band"
    NO_IMAGE = 10, "No image"
    UNREADABLE_IMAGE = 11, "Image cannot be read"
    CHANGED_IMAGE = 12, "Stored image does not match its sha256"
    NO_MODEL = 13, "No active golden configuration"
    WRONG_MODEL = 14, "Model file is missing or has the wrong hash"
    NON_FINITE_SCORE = 15, "Score is not a finite number"
    INSPECTION_FAILED = 16, "Inspection failed repeatedly"
    INSPECTION_LATE = 17, "Not inspected in time"
    UNFIT_IMAGE = 18, "Image does not fit the model: its size, position or content"
    DEADLINE = 20, "Nobody decided before the deadline"
    OVERFLOW = 21, "People cannot keep up with the grey parts"
    VERDICT = 30, "Verdict of an inspector"
    RULING = 31, "Ruling of the quality expert"
    CORRECTION = 32, "Correction by the quality expert"
