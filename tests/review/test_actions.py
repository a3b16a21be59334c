"""One person, one case, one verdict, step by step."""

import pytest

from audit.models import Event
from inspection.states import Outcome, PartState, Reason, Source
from review import actions
from review.models import Case, Verdict
from review.states import CaseState, ClosedBy, Grade, VerdictWord
from tests.factories import expert, held_part, inspector, station
from tests.review.helpers import again, leased_case, outcomes, say, sweep, tied_case, waiting_case

pytestmark = pytest.mark.django_db


def test_a_held_part_gets_its_case_once():
    part = held_part()

    assert [sweep()["opened"], sweep()["opened"]] == [1, 0]
    assert Case.objects.get().part == part


def test_the_most_urgent_case_comes_first():
    late = waiting_case(station(review_deadline_ms=600_000))
    urgent = waiting_case(station(review_deadline_ms=60_000))

    assert actions.lease(person=inspector(), lines=None) == urgent
    assert actions.lease(person=inspector(), lines=None) == late
    assert actions.lease(person=inspector(), lines=None) is None


def test_who_asks_again_gets_the_case_that_is_on_the_screen():
    by = inspector()
    first = leased_case(by)
    waiting_case()

    second = actions.lease(person=by, lines=None)

    assert second == first
    assert second.lease_token == first.lease_token
    assert second.lease_expires_at >= first.lease_expires_at


def test_an_inspector_gets_only_cases_of_the_own_lines():
    at = station()
    waiting_case(at)

    assert actions.lease(person=inspector(), lines=frozenset({"OTHER"})) is None
    assert actions.lease(person=inspector(), lines=frozenset({at.line.code})) is not None


def test_an_expired_lease_returns_to_the_queue():
    case = leased_case(inspector())

    assert sweep(after_s=61)["returned"] == 1
    assert again(case).state == CaseState.WAITING
    assert again(case).reviewer is None


def test_a_renewed_lease_is_not_returned():
    by = inspector()
    case = leased_case(by)
    Case.objects.filter(pk=case.pk).update(lease_expires_at=case.lease_expires_at.replace(year=2100))

    assert sweep(after_s=61)["returned"] == 0


def test_an_ended_lease_cannot_be_renewed():
    by = inspector()
    case = leased_case(by)
    sweep(after_s=61)

    with pytest.raises(actions.LeaseError):
        actions.renew_lease(case=case, person=by, token=case.lease_token)


def test_a_verdict_after_the_lease_has_expired_is_refused():
    by = inspector()
    case = leased_case(by)
    Case.objects.filter(pk=case.pk).update(lease_expires_at=case.opened_at)

    with pytest.raises(actions.LeaseError):
        say(again(case), by)
    assert Verdict.objects.count() == 0


def test_a_verdict_after_the_deadline_is_refused():
    by = inspector()
    case = leased_case(by)
    Case.objects.filter(pk=case.pk).update(deadline_at=case.opened_at)

    with pytest.raises(actions.TooLateError):
        say(again(case), by)


def test_a_stranger_with_the_right_token_is_refused():
    case = leased_case(inspector())

    with pytest.raises(actions.LeaseError):
        say(case, inspector())


@pytest.mark.parametrize(
    ("verdict", "outcome"), [(VerdictWord.PASS, Outcome.PASS), (VerdictWord.REJECT, Outcome.REJECT)]
)
def test_a_verdict_disposes_the_part_when_its_window_is_over(verdict, outcome):
    by = inspector()
    case = leased_case(by)
    say(case, by, verdict)

    assert sweep()["committed"] == 0
    assert outcomes(case.part) == []
    assert sweep(after_s=4)["committed"] == 1
    assert sweep(after_s=4)["committed"] == 0

    final = case.part.dispositions.get(is_final=True)
    assert (final.outcome, final.source, final.reason, final.person) == (
        outcome,
        Source.HUMAN,
        Reason.VERDICT,
        by,
    )
    assert (again(case).state, again(case).closed_by) == (CaseState.CLOSED, ClosedBy.VERDICT)


def test_the_same_key_again_is_the_same_verdict():
    by = inspector()
    case = leased_case(by)

    first, second = say(case, by), say(again(case), by)

    assert first == second
    assert Verdict.objects.count() == 1


def test_a_key_cannot_be_used_for_another_word():
    by = inspector()
    case = leased_case(by)
    say(case, by, VerdictWord.CANNOT_TELL)

    with pytest.raises(actions.TooLateError):
        say(again(case), by, VerdictWord.PASS)
    with pytest.raises(actions.TooLateError):
        say(again(case), by, VerdictWord.CANNOT_TELL, is_escalation=True)


def test_a_decided_case_takes_no_second_verdict():
    by = inspector()
    case = leased_case(by)
    say(case, by, VerdictWord.REJECT, key="first")

    with pytest.raises(actions.TooLateError):
        say(again(case), by, VerdictWord.PASS, key="second")
    sweep(after_s=4)
    assert outcomes(case.part) == [Outcome.REJECT]


def test_an_undone_verdict_is_never_carried_out():
    by = inspector()
    case = leased_case(by)
    say(case, by, VerdictWord.PASS, key="slip")

    back = actions.undo_verdict(case=again(case), person=by)

    assert (back.state, back.reviewer) == (CaseState.LEASED, by)
    assert back.lease_token != case.lease_token
    assert sweep(after_s=4)["committed"] == 0
    say(back, by, VerdictWord.REJECT, key="meant")
    sweep(after_s=4)
    assert outcomes(case.part) == [Outcome.REJECT]


def test_undoing_gives_back_the_case_that_came_after():
    by = inspector()
    case = leased_case(by)
    say(case, by)
    following = leased_case(by)

    actions.undo_verdict(case=again(case), person=by)

    assert again(case).state == CaseState.LEASED
    assert again(following).state == CaseState.WAITING


def test_undo_is_refused_when_the_window_is_over_even_if_nobody_swept():
    by = inspector()
    case = leased_case(by, station(commit_window_ms=0))
    say(case, by)

    with pytest.raises(actions.TooLateError):
        actions.undo_verdict(case=again(case), person=by)


def test_undo_is_refused_after_the_verdict_was_carried_out():
    by = inspector()
    case = leased_case(by)
    say(case, by)
    sweep(after_s=4)

    with pytest.raises(actions.TooLateError):
        actions.undo_verdict(case=again(case), person=by)
    assert outcomes(case.part) == [Outcome.PASS]


def test_nobody_undoes_the_verdict_of_somebody_else():
    by = inspector()
    case = leased_case(by)
    say(case, by)

    with pytest.raises(actions.LeaseError):
        actions.undo_verdict(case=again(case), person=inspector())
    assert again(case).state == CaseState.DECIDED


def test_a_case_is_given_back_only_by_the_lease_that_holds_it():
    by = inspector()
    case = leased_case(by)

    with pytest.raises(actions.LeaseError):
        actions.return_case(case=case, person=by, token="an older lease")
    with pytest.raises(actions.LeaseError):
        actions.return_case(case=case, person=inspector())
    actions.return_case(case=case, person=by, token=case.lease_token)
    assert again(case).state == CaseState.WAITING


def test_a_case_that_nobody_decides_is_rejected_at_its_deadline():
    case = waiting_case(station(review_deadline_ms=60_000))

    assert sweep(after_s=59)["expired"] == 0
    assert sweep(after_s=61)["expired"] == 1

    final = case.part.dispositions.get(is_final=True)
    assert (final.outcome, final.source, final.reason) == (Outcome.REJECT, Source.FAIL_SAFE, Reason.DEADLINE)


def test_a_case_on_a_screen_is_rejected_at_its_deadline_too():
    by = inspector()
    case = leased_case(by, station(review_deadline_ms=30_000))

    sweep(after_s=31)

    assert outcomes(case.part) == [Outcome.REJECT]
    with pytest.raises(actions.TooLateError):
        say(again(case), by)


def test_a_case_past_its_deadline_is_not_put_on_a_screen_again():
    by = inspector()
    case = leased_case(by)
    Case.objects.filter(pk=case.pk).update(deadline_at=case.opened_at)

    assert actions.lease(person=by, lines=None) is None


def test_cannot_tell_makes_a_tie_and_the_ruling_disposes_the_part():
    case = tied_case()
    assert case.state == CaseState.TIED
    assert outcomes(case.part) == []
    by = expert()

    ruling = actions.rule(case=case, person=by, grade=Grade.GOOD, note="only dust")

    final = case.part.dispositions.get(is_final=True)
    assert (final.outcome, final.reason, final.person) == (Outcome.PASS, Reason.RULING, by)
    assert (ruling.grade, ruling.note) == (Grade.GOOD, "only dust")
    assert again(case).closed_by == ClosedBy.RULING


def test_a_bad_part_of_a_tie_is_rejected():
    case = tied_case()

    actions.rule(case=case, person=expert(), grade=Grade.BAD, note="crack")

    assert outcomes(case.part) == [Outcome.REJECT]


def test_a_tie_is_ruled_once():
    case = tied_case()
    actions.rule(case=case, person=expert(), grade=Grade.BAD, note="crack")

    with pytest.raises(actions.TooLateError):
        actions.rule(case=again(case), person=expert(), grade=Grade.GOOD, note="dust")
    assert outcomes(case.part) == [Outcome.REJECT]


def test_a_tie_that_nobody_rules_is_rejected_at_its_deadline():
    case = tied_case()

    assert sweep(after_s=601)["expired"] == 1

    assert outcomes(case.part) == [Outcome.REJECT]
    assert again(case).closed_by == ClosedBy.DEADLINE


def test_a_verdict_given_in_time_is_carried_out_although_the_deadline_passes_meanwhile():
    by = inspector()
    case = leased_case(by)
    say(case, by, VerdictWord.PASS)
    Case.objects.filter(pk=case.pk).update(deadline_at=case.opened_at)

    done = sweep(after_s=4)

    assert (done["committed"], done["expired"]) == (1, 0)
    assert outcomes(case.part) == [Outcome.PASS]


def test_a_part_that_was_disposed_elsewhere_keeps_that_disposition():
    from inspection.actions import dispose
    from tests.factories import TESTER

    by = inspector()
    case = leased_case(by)
    say(case, by, VerdictWord.PASS)
    dispose(
        part=again(case).part,
        outcome=Outcome.REJECT,
        source=Source.FAIL_SAFE,
        reason=Reason.DEADLINE,
        actor=TESTER,
    )

    assert sweep(after_s=4)["committed"] == 1

    assert outcomes(case.part) == [Outcome.REJECT]
    assert again(case).closed_by == ClosedBy.ELSEWHERE
    assert again(case).part.state == PartState.DISPOSED


def test_every_step_of_a_case_leaves_its_event():
    by = inspector()
    case = leased_case(by)
    say(case, by)
    sweep(after_s=4)

    events = Event.objects.filter(subject_kind="case", subject_id=case.pk).order_by("id")
    assert list(events.values_list("verb", "after")) == [
        ("opened", "waiting"),
        ("leased", "leased"),
        ("verdict", "decided"),
        ("closed", "closed"),
    ]
