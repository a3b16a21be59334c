"""What the worker saw when it looked at a part: a score under a golden configuration, or the problem why not."""

from dataclasses import dataclass, field, replace
from typing import Self

from inspection.models import GoldenConfiguration
from inspection.states import Decision, Reason
from metrics.thresholds import decision


@dataclass(frozen=True, slots=True)
class Look:
    """reason is CLEAR when there is a finite score; any other reason means: hold or reject, say `problem`.

    score        of the worst view
    view         the worst view; `map_file` is its defect map
    view_scores  of each view
    defect       the likely type of the defect, where the model knows types
    """

    reason: Reason
    golden: GoldenConfiguration | None = None
    score: float = float("nan")
    problem: str = ""
    map_file: str = ""
    view: str = ""
    view_scores: dict[str, float] = field(default_factory=dict)
    defect: str = ""
    latency_ms: dict[str, float] = field(default_factory=dict)

    @property
    def decision(self) -> Decision | None:
        """None without a clear look; raises ValueError for a score that is not finite."""
        if self.reason != Reason.CLEAR or self.golden is None:
            return None
        # NaN is never below a threshold.
        said = decision(self.score, grey_from=self.golden.grey_from, grey_to=self.golden.grey_to)
        return Decision(said)

    def with_map(self, map_file: str) -> Self:
        return replace(self, map_file=map_file)
