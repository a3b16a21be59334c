"""Which case comes first: by slots of its deadline, and within a slot by what silence would cost."""

from datetime import datetime

from review.models import ReviewPolicy

SLOT_S = 10


def slot_of(moment: datetime) -> int:
    return int(moment.timestamp()) // SLOT_S


def cost_of_silence(score: float | None, policy: ReviewPolicy) -> float:
    """What it costs on average if nobody decides: the part is rejected, which is a loss only if it is good."""
    return policy.overkill_cost * (1 - score if score is not None else 0.5)
