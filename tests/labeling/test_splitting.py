from hypothesis import given
from hypothesis import strategies as st

from labeling.splitting import is_held_out, share_of


@given(st.text())
def test_a_group_lies_on_the_same_side_for_ever(group):
    assert is_held_out(group) == is_held_out(group)
    assert 0 <= share_of(group, purpose="holdout") < 1


def test_the_side_of_a_group_is_written_in_stone():
    assert [is_held_out(str(number)) for number in range(6)] == [True, False, False, True, False, True]


def test_about_thirty_percent_of_many_groups_are_held_out():
    held_out = sum(is_held_out(f"group {number}") for number in range(10_000))
    assert 2_900 < held_out < 3_100


def test_two_purposes_do_not_know_of_each_other():
    groups = [f"g{number}" for number in range(4_000)]
    both = sum(is_held_out(each) and share_of(each, purpose="half") < 0.5 for each in groups)
    assert 520 < both < 680
