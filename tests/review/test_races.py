"""Many people at the same moment, on a database in a file (or PostgreSQL): one wins, nothing is lost or doubled."""

from collections import Counter

import pytest
from django.utils import timezone

from inspection.states import Outcome
from review import actions
from review.models import Case, Verdict
from review.states import CaseState, Grade, VerdictWord
from tests.factories import TESTER, expert, inspector, station
from tests.review.helpers import again, at_once, leased_case, outcomes, say, sweep, tied_case, waiting_case

pytestmark = pytest.mark.django_db(transaction=True)


def test_eight_inspectors_who_lease_together_get_eight_cases():
    at = station()
    for _ in range(8):
        waiting_case(at)
    people = [inspector() for _ in range(8)]

    leased = at_once(*[lambda by=by: actions.lease(person=by, lines=None) for by in people])

    assert sorted(case.pk for case in leased) == sorted(Case.objects.values_list("pk", flat=True))
    assert Case.objects.filter(state=CaseState.LEASED).count() == 8


def test_of_twenty_who_claim_one_case_one_gets_it():
    waiting_case()
    people = [inspector() for _ in range(20)]

    leased = at_once(*[lambda by=by: actions.lease(person=by, lines=None) for by in people])

    assert Counter(case is not None for case in leased) == {True: 1, False: 19}


def test_two_tabs_of_one_inspector_share_one_lease():
    at = station()
    for _ in range(3):
        waiting_case(at)
    by = inspector()

    tabs = at_once(*[lambda: actions.lease(person=by, lines=None)] * 4)

    assert len({(case.pk, case.lease_token) for case in tabs}) == 1
    assert Case.objects.filter(state=CaseState.LEASED).count() == 1


def test_one_verdict_sent_eight_times_at_once_counts_once():
    by = inspector()
    case = leased_case(by)

    given = at_once(*[lambda: say(again(case), by, VerdictWord.REJECT)] * 8)

    assert {verdict.pk for verdict in given} == {Verdict.objects.get().pk}


def test_of_two_different_verdicts_at_once_one_stands():
    by = inspector()
    case = leased_case(by)

    answers = at_once(
        lambda: say(again(case), by, VerdictWord.PASS, key="one tab"),
        lambda: say(again(case), by, VerdictWord.REJECT, key="the other tab"),
    )

    assert Counter(type(answer) for answer in answers) == {Verdict: 1, actions.TooLateError: 1}
    sweep(after_s=4)
    assert outcomes(case.part) == [Verdict.objects.get().verdict]


@pytest.mark.parametrize("attempt", range(5))
def test_deadline_against_verdict_ends_in_exactly_one_disposition(attempt):
    by = inspector()
    case = leased_case(by, station(review_deadline_ms=30_000, commit_window_ms=0))

    at_once(
        lambda: say(again(case), by, VerdictWord.PASS), lambda: sweep(after_s=31), lambda: sweep(after_s=31)
    )
    sweep(after_s=31)

    given = Verdict.objects.filter(undone_at=None).exists()
    assert outcomes(case.part) == [Outcome.PASS if given else Outcome.REJECT]
    assert again(case).state == CaseState.CLOSED


@pytest.mark.parametrize("attempt", range(5))
def test_undo_against_commit_ends_in_one_of_the_two(attempt):
    by = inspector()
    case = leased_case(by)
    say(case, by, VerdictWord.PASS)

    undone, *_ = at_once(
        lambda: actions.undo_verdict(case=again(case), person=by),
        lambda: sweep(after_s=4),
        lambda: sweep(after_s=4),
    )

    if isinstance(undone, Case):
        assert outcomes(case.part) == []
        assert again(case).state == CaseState.LEASED
    else:
        assert outcomes(case.part) == [Outcome.PASS]
        assert again(case).state == CaseState.CLOSED


def test_two_experts_who_rule_at_once_make_one_ruling():
    case = tied_case()
    good, bad = expert(), expert()

    at_once(
        lambda: actions.rule(case=again(case), person=good, grade=Grade.GOOD, note=""),
        lambda: actions.rule(case=again(case), person=bad, grade=Grade.BAD, note=""),
    )

    assert outcomes(case.part) == [Outcome.PASS if again(case).ruling.grade == Grade.GOOD else Outcome.REJECT]


def test_four_sweepers_carry_each_verdict_out_once():
    at = station(commit_window_ms=0)
    cases = []
    for _ in range(5):
        by = inspector()
        cases.append(leased_case(by, at))
        say(cases[-1], by)

    done = at_once(*[lambda: actions.sweep(now=timezone.now(), actor=TESTER)] * 4)

    assert sum(each["committed"] for each in done) == 5
    assert [outcomes(case.part) for case in cases] == [[Outcome.PASS]] * 5
