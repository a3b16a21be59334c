import threading

import pytest
from django.db import connection
from django.utils import timezone

from inspection.actions import set_up_line
from review.actions import retire_criterion, write_criterion
from review.models import Appearance, Ruling
from review.precedents import contradictions, evidence_of, precedents
from review.states import Grade
from tests.factories import TESTER, decided_part, expert, station
from tests.review.looks import direction, give_point, ruled
from vision.appearance import ALIKE_FROM, SPACE, to_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def at():
    return station()


def part_at(at, degrees, **fields):
    return give_point(decided_part(at, 0.5, **fields), direction(degrees))


def test_the_most_alike_precedents_come_first_with_what_was_ruled(at):
    by = expert()
    far, near, nearest = (ruled(at, degrees, by=by) for degrees in (50, 20, 5))
    Ruling.objects.filter(pk=nearest.pk).update(note="deeper than the glaze", defect_type="crack")
    found = precedents(part_at(at, 0), k=2)
    assert [each.ruling for each in found] == [nearest.pk, near.pk]
    assert (found[0].case, found[0].part) == (nearest.case_id, nearest.case.part_id)
    assert (found[0].grade, found[0].defect_type, found[0].note) == ("bad", "crack", "deeper than the glaze")
    assert found[0].similarity == pytest.approx(0.9962, abs=1e-4)
    assert far.pk in [each.ruling for each in precedents(part_at(at, 90))]


def test_a_part_that_nobody_has_embedded_yet_has_no_precedents(at):
    ruled(at, 0)
    part = decided_part(at, 0.5)
    assert precedents(part) == []
    assert contradictions(part) == []
    Appearance.objects.create(
        part=part, space=SPACE, vector=b"", made_at=timezone.now()
    )  # its picture is lost
    assert precedents(part) == []


def test_neither_a_ruling_on_the_part_itself_nor_on_the_same_physical_part_is_its_precedent(at):
    by = expert()
    itself = ruled(at, 0, by=by)
    same_serial = ruled(at, 1, by=by, serial="A-7")
    other = ruled(at, 30, by=by, serial="A-8")
    assert [each.ruling for each in precedents(itself.case.part)] == [same_serial.pk, other.pk]
    assert [each.ruling for each in precedents(part_at(at, 0, serial="A-7"))] == [itself.pk, other.pk]


def test_only_precedents_of_the_same_part_type_count(at):
    by = expert()
    ruled(at, 0, by=by, is_precedent=False)
    gear = set_up_line(
        code="GEAR", name="Gears", part_type="gear", station="G1", hold_mailbox="GH1", actor=TESTER
    )
    ruled(gear, 0, by=by)
    assert precedents(part_at(at, 0)) == []


def test_a_new_precedent_shows_at_once_and_one_taken_back_is_gone_at_once(at):
    part, by = part_at(at, 0), expert()
    assert precedents(part) == []
    first = ruled(at, 10, by=by)
    assert [each.ruling for each in precedents(part)] == [first.pk]
    second = ruled(at, 5, by=by)
    assert [each.ruling for each in precedents(part)] == [second.pk, first.pk]
    Ruling.objects.filter(pk=second.pk).update(is_precedent=False)
    assert [each.ruling for each in precedents(part)] == [first.pk]


def test_a_ruling_shows_as_soon_as_its_part_has_its_point(at):
    part, ruling = part_at(at, 0), ruled(at, None)
    assert precedents(part) == []
    give_point(ruling.case.part, direction(3))
    assert [each.ruling for each in precedents(part)] == [ruling.pk]


def test_points_of_another_space_are_never_compared(at):
    ruling = ruled(at, 0)
    Appearance.objects.filter(part=ruling.case.part).update(space="an older network")
    assert precedents(part_at(at, 0)) == []


def test_the_line_of_the_acceptance_book_shows_while_it_stands(at):
    by = expert()
    ruling = ruled(at, 0, by=by)
    part_type = ruling.case.part.part_type
    line = write_criterion(part_type=part_type, text="Cracks count from 2 mm.", person=by, ruling=ruling)
    part = part_at(at, 5)
    assert precedents(part)[0].criterion == "Cracks count from 2 mm."
    retire_criterion(criterion=line, person=by)
    assert precedents(part)[0].criterion == ""


def test_precedents_cost_the_same_queries_for_one_and_for_many(at, django_assert_num_queries):
    by, part = expert(), part_at(at, 0)
    ruled(at, 10, by=by)
    precedents(part)
    with django_assert_num_queries(3):
        precedents(part)
    for degrees in range(20, 60, 4):
        ruled(at, degrees, by=by)
    precedents(part)
    with django_assert_num_queries(3):
        assert len(precedents(part)) == 3


# --- contradictions ---------------------------------------------------------------------------------------
def test_near_rulings_that_disagree_contradict_each_other_be_they_precedents_or_not(at):
    by, part = expert(), part_at(at, 0)
    bad = ruled(at, 4, Grade.BAD, by=by)
    assert contradictions(part) == []  # all that is near was ruled one way
    good = ruled(at, 8, Grade.GOOD, by=by, is_precedent=False)
    assert [each.ruling for each in contradictions(part)] == [bad.pk, good.pk]


def test_against_a_grade_only_the_opposite_contradicts(at):
    by, part = expert(), part_at(at, 0)
    bad, good = ruled(at, 4, Grade.BAD, by=by), ruled(at, 8, Grade.GOOD, by=by)
    assert [each.ruling for each in contradictions(part, Grade.GOOD)] == [bad.pk]
    assert [each.ruling for each in contradictions(part, Grade.BAD)] == [good.pk]


def test_what_is_only_somewhat_alike_contradicts_nothing(at):
    by, part = expert(), part_at(at, 0)
    ruled(at, 4, Grade.BAD, by=by)
    far = ruled(at, 25, Grade.GOOD, by=by)  # cosine .906
    assert precedents(part)[1].ruling == far.pk
    assert precedents(part)[1].similarity < ALIKE_FROM
    assert contradictions(part) == []


def test_the_evidence_on_many_parts_is_that_on_each_in_the_same_number_of_queries(
    at, django_assert_num_queries
):
    by = expert()
    ruled(at, 4, Grade.BAD, by=by)
    ruled(at, 8, Grade.GOOD, by=by, is_precedent=False)
    parts = [part_at(at, degrees) for degrees in (0, 6, 40)]
    without = decided_part(at, 0.5)
    wanted = {part.pk: (precedents(part), contradictions(part)) for part in [*parts, without]}
    assert wanted[parts[0].pk][1]
    assert not wanted[parts[2].pk][1]
    with django_assert_num_queries(7):
        one = evidence_of(parts[:1])
    with django_assert_num_queries(7):
        found = evidence_of([*parts, without])
    assert found == wanted
    assert one == {parts[0].pk: wanted[parts[0].pk]}


@pytest.mark.django_db(transaction=True)
def test_many_threads_read_one_book():
    at, by = station(), expert()
    part = part_at(at, 0)
    wanted = [ruled(at, degrees, by=by).pk for degrees in (5, 10, 15)]
    found: list[list[int]] = []

    def ask():
        try:
            found.append([each.ruling for each in precedents(part)])
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 6


def test_the_vectors_that_were_kept_are_those_that_are_compared(at):
    ruling = ruled(at, 12)
    assert bytes(Appearance.objects.get(part=ruling.case.part).vector) == to_bytes(direction(12))
    (found,) = precedents(part_at(at, 12))
    assert found.similarity == pytest.approx(1, abs=1e-6)
