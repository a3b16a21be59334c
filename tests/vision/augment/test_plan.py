"""A plan says how many pictures are made; by default none."""

import json

import numpy as np
import pytest

from tests.vision.augment.pictures import good_part, marked_part
from vision.augment import AllowedRange, AugmentPlan, grown
from vision.holdout import hold_out

FLIPS = AllowedRange(flip_horizontal=True, rotation_deg=5)


def parts():
    return [good_part(seed=0), good_part(seed=1, group=""), good_part(seed=2, group="tile 2"), marked_part()]


def same(first, second):
    return np.array_equal(first.pixels, second.pixels) and (first.defect, first.group) == (
        second.defect,
        second.group,
    )


def test_by_default_nothing_is_made():
    given = parts()
    assert [id(each) for each in grown(given, AugmentPlan(), 0)] == [id(each) for each in given]


def test_the_given_examples_come_first_then_copies_then_synthetic_bad_parts():
    given = parts()
    all_of_them = grown(given, AugmentPlan(copies=2, allowed=FLIPS, synthetic_bad=5), 3)
    assert len(all_of_them) == 4 + 8 + 5
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(all_of_them, given, strict=False))
    assert [each.is_bad for each in all_of_them[4:12]] == [False] * 6 + [True] * 2
    assert all(each.defect.startswith("synthetic:") for each in all_of_them[12:])
    assert {each.group for each in all_of_them[12:]} <= {"tile 1", "alone 1", "tile 2"}


def test_the_same_seed_grows_the_same_bits_and_another_seed_others():
    plan = AugmentPlan(copies=1, allowed=FLIPS, synthetic_bad=3)
    first, again, other = grown(parts(), plan, 1), grown(parts(), plan, 1), grown(parts(), plan, 2)
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not all(same(a, b) for a, b in zip(first, other, strict=True))


def test_no_hold_out_splits_a_part_from_what_was_made_of_it():
    plan = AugmentPlan(copies=2, allowed=FLIPS, synthetic_bad=6, kinds=("dent", "stain"))
    taught, held = hold_out(
        grown([good_part(seed=n, group="") for n in range(6)], plan, 0), share=0.3, seed=1
    )
    assert held
    assert not {each.group for each in taught} & {each.group for each in held}


def test_unless_others_are_named_defects_are_real_ones():
    made = grown(parts(), AugmentPlan(synthetic_bad=3), 0)[4:]
    assert {each.defect for each in made} == {"synthetic:real"}


def test_real_defects_are_left_out_where_none_was_painted():
    made = grown(parts()[:3], AugmentPlan(synthetic_bad=4, kinds=("real", "dent")), 0)[3:]
    assert {each.defect for each in made} == {"synthetic:dent"}


def test_marks_can_be_kept_on_the_part_alone():
    pixels = np.full((80, 80, 3), 20, np.uint8)
    pixels[20:60, 20:60] = 180
    part = good_part()
    part = type(part)(pixels, is_bad=False)
    plan = AugmentPlan(synthetic_bad=10, kinds=("stain", "cutpaste"), on_the_part_alone=True)
    beside = np.ones((80, 80), bool)
    beside[17:63, 17:63] = False
    assert not any((each.mask & beside).any() for each in grown([part], plan, 0)[1:])


def test_a_plan_survives_its_json():
    plan = AugmentPlan(copies=2, allowed=FLIPS, synthetic_bad=7, kinds=("dent",), on_the_part_alone=True)
    assert AugmentPlan.from_json(json.loads(json.dumps(plan.as_json()))) == plan
    assert AugmentPlan.from_json({}) == AugmentPlan()


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"copies": -1}, "copies is a whole number from 0"),
        ({"copies": 1.5}, "copies is a whole number"),
        ({"synthetic_bad": True}, "synthetic_bad is a whole number"),
        ({"copies": 3}, "nothing is allowed to change"),
        ({"kinds": ["rust"]}, "no synthetic defect 'rust'"),
        ({"kinds": "dent"}, "kinds is a list of names"),
        ({"kinds": []}, "Name at least one kind"),
        ({"on_the_part_alone": 1}, "on_the_part_alone is true or false"),
        ({"allowed": {"rotation_deg": 500}}, "rotation_deg lies between"),
        ({"allowed": 4}, "An allowed range is an object"),
        ({"flips": 2}, "An augmentation plan knows no 'flips'"),
        ("copies", "An augmentation plan is an object"),
    ],
)
def test_a_senseless_plan_is_refused_with_a_sentence(named, sentence):
    with pytest.raises(ValueError, match=sentence):
        AugmentPlan.from_json(named)


def test_synthetic_parts_need_a_good_part_and_real_alone_a_painted_one():
    with pytest.raises(ValueError, match="laid on a good part, and there is none"):
        grown([marked_part()], AugmentPlan(synthetic_bad=1), 0)
    with pytest.raises(ValueError, match='the kind "real" alone'):
        grown([good_part()], AugmentPlan(synthetic_bad=1, kinds=("real",)), 0)
