"""Where a score stands on the drawn axis: one axis for every grey band, so that bands can be compared by eye."""

import math

from django import template

register = template.Library()

ENDS_ODDS = 999.0  # the axis runs from odds of 1:999 to 999:1


@register.filter
def on_axis(score: float) -> float:
    """The place 0..1 of a probability on the log-odds axis; frontend/modules/score_axis.js draws the same.

    Scores crowd near 0 and 1: on a plain axis a threshold that moves from .02 to .08, which halves the work of
    the people, could not be seen.
    """
    if not 0 < score < 1:
        return 1.0 if score >= 1 else 0.0
    place = 0.5 + math.log(score / (1 - score)) / (2 * math.log(ENDS_ODDS))
    return min(1.0, max(0.0, place))
