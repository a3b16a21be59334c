from datetime import timedelta

import pytest
from django.utils import timezone

from inspection.actions import dispose
from inspection.models import GoldenConfiguration, Inspection
from inspection.states import Outcome, PartState, Reason, Source
from review.containment import (
    ACTIVATION,
    FIRST_PART,
    GOOD_CHECK,
    NEAR_APPEARANCE,
    NEAR_SCORE,
    NOT_COMPARABLE,
    NOT_COMPARED,
    NoEscapeError,
    containment,
)
from review.models import Appearance, Ruling
from review.states import CaseKind, ClosedBy, Grade
from tests.factories import TESTER, decided_part, expert, golden, held_part, station
from tests.review.looks import case_on, direction, give_point
from vision.appearance import SPACE

pytestmark = pytest.mark.django_db


@pytest.fixture
def at():
    return station()


def passed_part(at, score=0.01, degrees=None, **fields):
    """Grey from .3 on: the margin is .03."""
    part = decided_part(at, score, **fields)
    return part if degrees is None else give_point(part, direction(degrees))


def escape_on(part):
    """A flagged part that the expert has ruled bad."""
    case = case_on(part, kind=CaseKind.FLAGGED, closed_by=ClosedBy.RULING)
    Ruling.objects.create(case=case, person=expert(), grade=Grade.BAD, ruled_at=timezone.now())
    return case


def why(found):
    return {suspect.part: suspect.why for suspect in found.suspects}


def test_listed_are_parts_near_in_score_or_above_it_and_those_that_look_alike(at):
    near_score = passed_part(at, 0.08, 80)
    above = passed_part(at, 0.25, 80)
    alike = passed_part(at, 0.01, 5)
    passed_part(at, 0.01, 80)  # far in both
    escaped = passed_part(at, 0.1, 0)
    both = passed_part(at, 0.09, 3)  # after the escape
    found = containment(escape_on(escaped))
    assert why(found) == {
        above.pk: (NEAR_SCORE,),
        both.pk: (NEAR_SCORE, NEAR_APPEARANCE),
        near_score.pk: (NEAR_SCORE,),
        alike.pk: (NEAR_APPEARANCE,),
    }
    assert [suspect.score for suspect in found.suspects] == [0.25, 0.09, 0.08, 0.01]
    assert (found.passed, found.near_score, found.rest, found.after) == (5, 3, 0, None)
    assert found.margin == pytest.approx(0.03)
    assert found.suspects[1].similarity == pytest.approx(0.9986, abs=1e-4)


def test_only_what_the_same_model_passed_itself_on_the_same_line_is_listed(at):
    passed_part(station(), 0.1, 0)  # another line
    older = passed_part(at, 0.1, 0)
    held_part(at)
    rejected = decided_part(at, 0.9)
    assert rejected.state == PartState.DISPOSED
    next_model = golden(at, model_sha256="1" * 64)
    escaped = passed_part(at, 0.1, 0)
    assert Inspection.objects.get(part=escaped).golden == next_model
    found = containment(escape_on(escaped))
    assert found.suspects == []
    assert (found.passed, found.model_sha256) == (0, "1" * 64)
    assert older.pk not in why(found)


def test_the_same_model_under_other_thresholds_is_the_same_model(at):
    before = passed_part(at, 0.1, 0)
    second = golden(at, grey_from=0.2)
    GoldenConfiguration.objects.filter(pk=second.pk).update(activated_at=timezone.now() + timedelta(hours=1))
    escaped = passed_part(at, 0.1, 0)
    found = containment(escape_on(escaped))
    assert found.since_by == FIRST_PART  # activated (again) after the escape: its activation bounds nothing
    assert list(why(found)) == [before.pk]


def test_the_last_good_check_before_the_escape_bounds_the_list(at):
    passed_part(at, 0.1, 0)
    first_check = case_on(passed_part(at, 0.1, 0))
    between = passed_part(at, 0.1, 0)
    check = case_on(passed_part(at, 0.1, 0), closed_by=ClosedBy.RULING)
    Ruling.objects.create(case=check, person=expert(), grade=Grade.GOOD, ruled_at=timezone.now())
    after_check = passed_part(at, 0.1, 0)
    escaped = passed_part(at, 0.1, 0)
    later_check = case_on(passed_part(at, 0.1, 0))
    found = containment(escape_on(escaped))
    assert (found.since_by, found.check_case) == (GOOD_CHECK, check.pk)
    assert found.since == Inspection.objects.get(part=check.part).finished_at
    assert set(why(found)) == {after_check.pk, later_check.part_id}
    assert between.pk not in why(found)
    assert first_check.part.plc_part_id not in found.sentence
    assert check.part.plc_part_id in found.sentence


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (CaseKind.AUDIT, {"closed_by": ClosedBy.DEADLINE}),  # nobody looked
        (CaseKind.AUDIT, {"closed_by": ClosedBy.RULING}),  # ruled bad, below
        (CaseKind.AUDIT, {"is_closed": False}),
    ],
)
def test_a_check_that_did_not_find_the_part_good_bounds_nothing(at, kind, fields):
    before = passed_part(at, 0.1, 0)
    check = case_on(passed_part(at, 0.1, 0), kind=kind, **fields)
    if check.closed_by == ClosedBy.RULING:
        Ruling.objects.create(case=check, person=expert(), grade=Grade.BAD, ruled_at=timezone.now())
    found = containment(escape_on(passed_part(at, 0.1, 0)))
    assert (found.since_by, found.check_case) == (ACTIVATION, None)
    assert before.pk in why(found)


def test_without_a_check_the_activation_of_the_golden_configuration_bounds_the_list(at):
    passed = passed_part(at, 0.1, 0)
    found = containment(escape_on(passed_part(at, 0.1, 0)))
    active = GoldenConfiguration.objects.get(line=at.line)
    assert (found.since_by, found.since) == (ACTIVATION, active.activated_at)
    assert str(active) in found.sentence
    assert list(why(found)) == [passed.pk]


def test_a_part_that_is_not_compared_yet_is_listed_and_its_point_asked_for(at):
    new, lost = passed_part(at, 0.01), passed_part(at, 0.02)
    Appearance.objects.create(part=lost, space=SPACE, vector=b"", made_at=timezone.now())
    escaped = passed_part(at, 0.1, 0)
    case = escape_on(escaped)
    assert why(containment(case)) == {lost.pk: (NOT_COMPARABLE,), new.pk: (NOT_COMPARED,)}
    asked = Appearance.objects.get(part=new)
    assert asked.space != SPACE
    asked.delete()
    give_point(new, direction(60))
    assert why(containment(case)) == {lost.pk: (NOT_COMPARABLE,)}  # compared, and far


def test_an_escape_without_a_point_leaves_nobody_out(at):
    other = passed_part(at, 0.01, 60)
    escaped = passed_part(at, 0.1)
    case = escape_on(escaped)
    assert why(containment(case)) == {other.pk: (NOT_COMPARED,)}
    assert Appearance.objects.get(part=escaped).space != SPACE  # asked for
    Appearance.objects.filter(part=escaped).update(space=SPACE)
    assert why(containment(case)) == {other.pk: (NOT_COMPARABLE,)}


def test_a_long_list_comes_in_stretches_that_never_overlap_nor_leave_a_gap(at):
    for number in range(7):
        passed_part(at, 0.05 + 0.02 * (number // 2))  # pairs of equal scores
    case = escape_on(passed_part(at, 0.01, 0))
    whole = [suspect.part for suspect in containment(case).suspects]
    first = containment(case, most=3)
    assert (first.passed, first.near_score, first.rest) == (7, 7, 4)
    passed_part(at, 0.29)  # meanwhile another part is passed; the stretches go on with those of then
    second = containment(case, after=first.after, most=3)
    third = containment(case, after=second.after, most=3)
    assert (second.rest, third.rest, third.after) == (1, 0, None)
    seen = [suspect.part for stretch in (first, second, third) for suspect in stretch.suspects]
    assert seen == whole
    assert len(set(seen)) == 7


def test_a_part_that_a_person_passed_is_no_escape_of_the_model(at):
    part = held_part(at)
    dispose(
        part=part,
        outcome=Outcome.PASS,
        source=Source.HUMAN,
        reason=Reason.VERDICT,
        person=expert(),
        actor=TESTER,
    )
    with pytest.raises(NoEscapeError, match="not passed by the model"):
        containment(escape_on(part))


def test_the_list_costs_the_same_queries_for_one_part_and_for_many(at, django_assert_num_queries):
    passed_part(at, 0.1)
    case = escape_on(passed_part(at, 0.1, 0))
    with django_assert_num_queries(12):
        containment(case)
    for number in range(12):
        passed_part(at, 0.01 * number, number if number % 2 else None)
    with django_assert_num_queries(12):
        containment(case)
