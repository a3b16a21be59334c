import pytest

from labeling import actions
from labeling.models import DatasetImage, Grade, KnownTruth
from review.actions import correct_verdict
from review.states import Grade as GradeWord
from review.states import VerdictWord
from tests import factories
from tests.factories import TESTER
from tests.labeling import steps

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("verdict", "grade"), [(VerdictWord.PASS, "good"), (VerdictWord.REJECT, "bad")])
def test_a_case_closed_by_a_verdict_becomes_a_grade(verdict, grade):
    inspector = factories.inspector()
    part = factories.held_part()
    steps.close_by_verdict(part, verdict, defect_type="scratch", inspector=inspector)

    assert actions.grade_closed_cases(actor=TESTER) == 1

    made = Grade.objects.get(part=part)
    assert (made.grade, made.source, made.person) == (grade, "verdict", inspector)
    assert made.defect_type == ("scratch" if grade == "bad" else "")


@pytest.mark.parametrize("grade", list(GradeWord))
def test_a_ruling_is_the_last_word_of_a_tie(grade):
    part = factories.held_part()
    case = steps.close_by_ruling(part, grade)

    actions.grade_closed_cases(actor=TESTER)

    made = Grade.objects.get(part=part)
    assert (made.grade, made.source, made.person) == (grade, "ruling", case.ruling.person)


def test_grading_again_changes_nothing():
    steps.close_by_verdict(factories.held_part(), VerdictWord.PASS)
    actions.grade_closed_cases(actor=TESTER)

    assert actions.grade_closed_cases(actor=TESTER) == 0
    assert Grade.objects.count() == 1


def test_a_tie_that_waits_for_the_expert_has_no_grade():
    steps.close_by_verdict(factories.held_part(), VerdictWord.CANNOT_TELL)

    assert actions.grade_closed_cases(actor=TESTER) == 0


def test_a_deadline_teaches_nobody_anything():
    from datetime import timedelta

    from django.utils import timezone

    from review.actions import open_cases, sweep

    factories.held_part()
    open_cases(actor=TESTER)
    sweep(now=timezone.now() + timedelta(hours=1), actor=TESTER)

    assert actions.grade_closed_cases(actor=TESTER) == 0


def test_grading_asks_the_database_equally_often_for_one_and_three_reads(django_assert_num_queries):
    for _ in range(3):
        steps.close_by_verdict(factories.held_part(), VerdictWord.PASS)
        actions.grade_closed_cases(actor=TESTER)

    with django_assert_num_queries(2):
        assert actions.grade_closed_cases(actor=TESTER) == 0


def test_a_known_truth_never_enters_a_dataset():
    part = factories.held_part()
    actions.record_known_grade(part=part, grade=GradeWord.BAD, actor=TESTER)
    dataset = actions.make_dataset(line=part.line, name="d", actor=TESTER)

    with pytest.raises(actions.NothingToFreezeError):
        actions.freeze_version(dataset=dataset, actor=TESTER)
    assert (Grade.objects.count(), DatasetImage.objects.count()) == (0, 0)


def test_a_known_truth_is_recorded_once_and_contradicted_never():
    part = factories.held_part()
    for _ in range(2):
        actions.record_known_grade(part=part, grade=GradeWord.BAD, actor=TESTER)

    assert KnownTruth.objects.count() == 1
    with pytest.raises(actions.ContradictingTruthError):
        actions.record_known_grade(part=part, grade=GradeWord.GOOD, actor=TESTER)


@pytest.mark.parametrize("graded_before", [True, False])
def test_the_grade_follows_a_correction_by_the_expert(graded_before):
    part, by = factories.held_part(), factories.expert()
    case = steps.close_by_verdict(part, VerdictWord.PASS)
    if graded_before:
        actions.grade_closed_cases(actor=TESTER)
    correct_verdict(case=case, person=by, grade=GradeWord.BAD, note="a crack", defect_type="crack")

    assert actions.grade_closed_cases(actor=TESTER) == 1

    made = Grade.objects.get(part=part)
    assert (made.grade, made.source, made.person, made.defect_type) == ("bad", "ruling", by, "crack")
    assert actions.grade_closed_cases(actor=TESTER) == 0
