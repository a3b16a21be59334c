"""Small drawings as SVG geometry, computed here because the pages' policy forbids style attributes."""

import math
from dataclasses import dataclass
from typing import Any

from reports.figures import percent
from reports.queries.inspectors import SHOWN_PROBES, Path, Share

CUSUM_WIDTH, CUSUM_HEIGHT = 240, 64
HEADROOM = 1.25  # an alarm lies above its limit
LEFT, TOP, BOTTOM, BIN_WIDTH = 44, 8, 148, 64
SCALES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class CusumPlot:
    path: str
    limit_y: float
    alarms: list[tuple[float, float]]
    says: str


def cusum_plot(path: Path) -> CusumPlot:
    """The newest probes from left to right, the newest at the right edge; above the line sounds the alarm."""
    step_x = CUSUM_WIDTH / SHOWN_PROBES

    def x(place: int) -> float:
        return round(CUSUM_WIDTH - (len(path.steps) - 1 - place) * step_x - 4, 1)

    def y(steps: int) -> float:
        share = min(steps / (path.limit * HEADROOM), 1.0)
        return round(CUSUM_HEIGHT - 4 - share * (CUSUM_HEIGHT - 8), 1)

    points = [f"{x(place)} {y(steps)}" for place, steps in enumerate(path.steps)]
    return CusumPlot(
        path="M" + "L".join(points) if points else "",
        limit_y=y(path.limit),
        alarms=[(x(place), y(path.steps[place])) for place in path.alarms],
        says=f"{path.now} of {path.limit} steps, {path.probes} probes",
    )


def slips_plot(shares: list[Share]) -> dict[str, Any]:
    """Slips by active time: a dot with its interval for each bin that carries one."""
    known = [share.figures[0].rate.upper for share in shares if share.figures[0].is_known]
    top = next(scale for scale in SCALES if scale >= max(known, default=SCALES[0]))

    def y(share: float) -> float:
        return round(BOTTOM - min(share / top, 1.0) * (BOTTOM - TOP), 1)

    bins = []
    for place, share in enumerate(shares):
        figure, middle = share.figures[0], LEFT + BIN_WIDTH * place + BIN_WIDTH / 2
        is_known = figure.is_known and not math.isnan(figure.rate.value)
        bins.append(
            {
                "x": middle,
                "label": share.key,
                "is_known": is_known,
                "y": y(figure.rate.value) if is_known else None,
                "lower_y": y(figure.rate.lower),
                "upper_y": y(figure.rate.upper),
                "says": f"{share.label}: {figure.text}, {figure.short_bound}",
                "few": f"{figure.rate.k} of {figure.rate.n}" if figure.rate.n else "none",
            }
        )
    right = LEFT + BIN_WIDTH * len(shares)
    return {
        "bins": bins,
        "right": right,
        "middle": (LEFT + right) / 2,
        "bottom": BOTTOM,
        "ticks": [{"y": y(share), "label": percent(share)} for share in (0.0, top / 2, top)],
    }
