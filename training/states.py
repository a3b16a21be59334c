"""What may follow what: runs and candidates."""

from django.db import models


class RunState(models.TextChoices):
    QUEUED = "queued", "Waits for the trainer"
    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    FAILED = "failed", "Failed"


RUN_TRANSITIONS: dict[str, frozenset[str]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.FAILED}),
    # Back to the queue: its worker died.
    RunState.RUNNING: frozenset({RunState.QUEUED, RunState.FINISHED, RunState.FAILED}),
    RunState.FINISHED: frozenset(),
    RunState.FAILED: frozenset(),
}


class CandidateState(models.TextChoices):
    PROPOSED = "proposed", "Proposed"
    ACCEPTED = "accepted", "Accepted, golden configuration locked"
    ACTIVATED = "activated", "Activated"
    DECLINED = "declined", "Declined"


CANDIDATE_TRANSITIONS: dict[str, frozenset[str]] = {
    CandidateState.PROPOSED: frozenset({CandidateState.ACCEPTED, CandidateState.DECLINED}),
    CandidateState.ACCEPTED: frozenset({CandidateState.ACTIVATED, CandidateState.DECLINED}),
    # It has been the line's; later its golden configuration may retire and return.
    CandidateState.ACTIVATED: frozenset(),
    CandidateState.DECLINED: frozenset(),
}
