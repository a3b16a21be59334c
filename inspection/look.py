"""What the worker saw when it looked at a part: a score under a golden configuration, or the problem why not."""

from dataclasses import dataclass, field

from inspection.models import GoldenConfiguration
from inspection.states import Reason


@dataclass(frozen=True, slots=True)
class Look:
    """reason is CLEAR when there is a finite score; any other reason means: hold or reject, say `problem`."""

    reason: Reason
    golden: GoldenConfiguration | None = None
    score: float = float("nan")
    problem: str = ""
    map_file: str = ""
    latency_ms: dict[str, float] = field(default_factory=dict)
