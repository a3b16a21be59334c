"""What may follow what: cases and verdicts."""

from django.db import models


class CaseState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    LEASED = "leased", "On a screen"
    DECIDED = "decided", "Decided, can be undone"
    TIED = "tied", "Waits for the expert"
    CLOSED = "closed", "Closed"


CASE_TRANSITIONS: dict[str, frozenset[str]] = {
    CaseState.WAITING: frozenset({CaseState.LEASED, CaseState.CLOSED}),
    CaseState.LEASED: frozenset({CaseState.WAITING, CaseState.DECIDED, CaseState.CLOSED}),
    CaseState.DECIDED: frozenset({CaseState.LEASED, CaseState.TIED, CaseState.CLOSED}),
    CaseState.TIED: frozenset({CaseState.CLOSED}),
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
