"""What may follow what: cases and verdicts, and the words that people use of them."""

from django.db import models


class CaseKind(models.TextChoices):
    """Why people look at a part. What an inspector's screen shows must never depend on it."""

    HELD = "held", "Held part"
    AUDIT = "audit", "Audit of an automatic pass"
    PROBE = "probe", "Probe: a part of known grade"
    FLAGGED = "flagged", "Flagged on the floor"


class CaseState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    LEASED = "leased", "On a screen"
    DECIDED = "decided", "Decided, can be undone"
    TIED = "tied", "Waits for the expert"
    CLOSED = "closed", "Closed"


CASE_TRANSITIONS: dict[str, frozenset[str]] = {
    # To the same state: its deadline has passed, and it goes on for the record.
    CaseState.WAITING: frozenset({CaseState.WAITING, CaseState.LEASED, CaseState.CLOSED}),
    CaseState.LEASED: frozenset({CaseState.LEASED, CaseState.WAITING, CaseState.DECIDED, CaseState.CLOSED}),
    # Back to WAITING: somebody else is to judge it too.
    CaseState.DECIDED: frozenset({CaseState.WAITING, CaseState.LEASED, CaseState.TIED, CaseState.CLOSED}),
    CaseState.TIED: frozenset({CaseState.TIED, CaseState.CLOSED}),
    CaseState.CLOSED: frozenset(),
}


class VerdictWord(models.TextChoices):
    """What an inspector says."""

    PASS = "PASS", "Pass"
    REJECT = "REJECT", "Reject"
    CANNOT_TELL = "CANNOT_TELL", "Cannot tell"


class Grade(models.TextChoices):
    """Truth of the whole part, as the expert rules it."""

    GOOD = "good", "Good"
    BAD = "bad", "Bad"


class ClosedBy(models.TextChoices):
    VERDICT = "verdict", "Verdict"
    RULING = "ruling", "Ruling"
    DEADLINE = "deadline", "Deadline"
    ELSEWHERE = "elsewhere", "Disposed elsewhere"


class Handling(models.TextChoices):
    """What had to be done with the real part before anybody could tell: the image was not enough."""

    TILT = "tilt", "Tilted it"
    WIPE = "wipe", "Wiped it"
    LIGHT = "light", "Lit it differently"
