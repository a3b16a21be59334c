"""The axis of the grey band."""

import pytest

from inspection.templatetags.score_axis import on_axis


@pytest.mark.parametrize(
    ("score", "place"),
    [(0.0, 0.0), (0.0005, 0.0), (0.05, 0.2868), (0.5, 0.5), (0.9, 0.6591), (1.0, 1.0), (float("nan"), 0.0)],
)
def test_a_score_has_one_place_on_the_axis(score, place):
    assert round(on_axis(score), 4) == place
