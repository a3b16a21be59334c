"""What the line's board makes of the figures."""

import pytest

from inspection.states import Outcome
from reports.boards import FEWEST_MINUTES, _chart


@pytest.mark.parametrize(("first_busy", "shown"), [(0, 60), (30, 30), (55, FEWEST_MINUTES), (None, 60)])
def test_the_chart_of_a_line_that_just_started_shows_the_minutes_it_ran(first_busy, shown):
    passed = [0] * 60
    if first_busy is not None:
        passed[first_busy] = 3
    quiet = [0] * 60

    chart = _chart(
        {
            "times": list(range(60)),
            Outcome.PASS: passed,
            Outcome.REJECT: quiet,
            Outcome.HOLD: quiet,
        }
    )

    assert len(chart["times"]) == shown
    assert [len(series["values"]) for series in chart["series"]] == [shown] * 3
    assert chart["times"][-1] == 59
