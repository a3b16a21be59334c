"""An allowed range is data that a plant engineer writes: nonsense is refused with a sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.augment import AllowedRange

SWITCHES = ("flip_horizontal", "flip_vertical", "quarter_turns")


def test_by_default_nothing_may_change():
    assert all(
        not AllowedRange().as_json()[name] for name in AllowedRange().as_json() if name != "jpeg_quality_from"
    )
    assert AllowedRange().jpeg_quality_from == 100


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "flip_horizontal": st.booleans(),
            "rotation_deg": st.floats(0, 180),
            "shift": st.floats(0, 0.5),
            "blur_px": st.integers(0, 10),
            "jpeg_quality_from": st.integers(10, 100),
        },
    )
)
def test_a_range_survives_its_json(named):
    written = AllowedRange.from_json(named)
    assert AllowedRange.from_json(json.loads(json.dumps(written.as_json()))) == written


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"rotation_deg": 181}, "rotation_deg lies between 0 and 180, not at 181"),
        ({"rotation_deg": -1}, "rotation_deg lies between 0 and 180"),
        ({"shift": float("nan")}, "shift is a number from 0 to 0.5, not nan"),
        ({"shift": "half"}, "shift is a number from 0 to 0.5, not 'half'"),
        ({"scale": True}, "scale is a number"),
        ({"flip_vertical": 1}, "flip_vertical is allowed or not: true or false, not 1"),
        ({"jpeg_quality_from": 50.5}, "jpeg_quality_from is a whole number from 10 to 100"),
        ({"jpeg_quality_from": 0}, "jpeg_quality_from lies between 10 and 100"),
        ({"sharpen": 1}, "An allowed range knows no 'sharpen'; it knows: flip_horizontal"),
        ([1, 2], "An allowed range is an object of names and values"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(named, sentence):
    with pytest.raises(ValueError, match=sentence):
        AllowedRange.from_json(named)
