"""Cases of every kind, second opinions, newcomers, first opinions, late grading, flags, overflow, parts in the hand."""

from datetime import timedelta

import pytest
from django.utils import timezone

from audit.models import Event
from inspection.states import Mode, Outcome, Reason, Source
from review import actions, queries
from review.actions import unmarked
from review.actions.people import PAUSE
from review.models import Case, FirstOpinion, Spell, Verdict, Watch
from review.states import CaseKind, CaseState, ClosedBy, Grade, VerdictWord
from tests.factories import TESTER, decided_part, expert, golden, held_part, inspector, station
from tests.review.helpers import again, outcomes, say, sweep, waiting_case
from tests.review.kinds import CALM, UNMARKED, Floor, a_floor, case_of_kind

pytestmark = pytest.mark.django_db

PASS, REJECT, CANNOT_TELL = VerdictWord.PASS, VerdictWord.REJECT, VerdictWord.CANNOT_TELL


@pytest.fixture
def at(_own_storage) -> Floor:
    return a_floor()


def judge(case: Case, by, verdict: VerdictWord = PASS, **fields) -> Verdict:
    """The person leases the case, says the word, and its window passes."""
    leased = actions.lease(person=by, lines=frozenset({case.shown_part.line.code}))
    assert leased == case
    given = say(leased, by, verdict, key=f"{case.pk}", **fields)
    sweep(after_s=4)
    return given


def why_tied(case: Case) -> str:
    return Event.objects.get(subject_kind="case", subject_id=case.pk, after=CaseState.TIED).details["why"]


# --- probes -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("verdict", VerdictWord)
def test_a_probe_is_closed_by_any_verdict_and_disposes_nothing(at, verdict):
    case = case_of_kind(CaseKind.PROBE, at, grade=Grade.BAD)
    before = {part: outcomes(part) for part in (case.part, case.shown_part)}

    judge(case, inspector(), verdict)

    assert (again(case).state, again(case).closed_by) == (CaseState.CLOSED, ClosedBy.VERDICT)
    assert {part: outcomes(part) for part in before} == before


def test_a_probe_at_its_deadline_rejects_no_part(at):
    case = case_of_kind(CaseKind.PROBE, at)
    before = outcomes(case.shown_part)

    assert sweep(after_s=601)["expired"] == 1

    assert again(case).closed_by == ClosedBy.DEADLINE
    assert outcomes(case.shown_part) == before
    assert len(before) == 1  # what the model had decided of the part that lent its number


def test_probes_that_two_people_judge_differently_never_reach_the_expert(at):
    case = case_of_kind(CaseKind.PROBE, at)
    Case.objects.filter(pk=case.pk).update(wants_opinions=2)

    judge(case, inspector(), PASS)
    judge(case, inspector(), REJECT)

    assert again(case).state == CaseState.CLOSED


def test_every_held_part_brings_a_probe_where_the_share_is_one():
    at = a_floor(probe_share=1.0)

    held_part(at.station)
    actions.open_cases(actor=TESTER)

    kinds = Case.objects.exclude(state=CaseState.CLOSED).values_list("kind", flat=True)
    assert sorted(kinds) == [CaseKind.HELD, CaseKind.PROBE]


def test_an_unattended_queue_does_not_fill_up_with_probes():
    at = a_floor(probe_share=1.0)
    for number in range(unmarked.MOST_PROBES_OPEN + 2):
        decided_part(at.station, 0.1, serial=f"lender {number}")
        held_part(at.station)
        actions.open_cases(actor=TESTER)

    assert Case.objects.filter(kind=CaseKind.PROBE).count() == unmarked.MOST_PROBES_OPEN


def test_a_retired_probe_is_slipped_in_no_more(at):
    for probe in queries.probes():
        actions.retire_probe(probe=probe, actor=TESTER)

    assert unmarked.slip_in_probe(line=at.station.line, policy=at.policy(), actor=TESTER) is None


def test_only_a_disposed_part_with_an_image_can_be_a_probe(at):
    with pytest.raises(actions.UnfitError, match="on its way"):
        actions.add_probe(part=held_part(at.station), grade=Grade.GOOD, person=None, actor=TESTER)


def test_one_part_is_not_a_probe_of_both_grades(at):
    with pytest.raises(actions.UnfitError, match="already"):
        actions.add_probe(part=at.known_good, grade=Grade.BAD, person=None, actor=TESTER)


def test_no_two_probes_borrow_the_number_of_one_part(at):
    lent = set()
    while (
        case := unmarked.slip_in_probe(line=at.station.line, policy=at.policy(), actor=TESTER)
    ) is not None:
        assert case.shown_part_id not in lent
        lent.add(case.shown_part_id)
    assert len(lent) == unmarked.MOST_PROBES_OPEN


# --- audits -----------------------------------------------------------------------------------------------
def test_an_audit_that_people_pass_is_closed_and_the_part_stays_passed(at):
    case = case_of_kind(CaseKind.AUDIT, at)

    judge(case, inspector(), PASS)

    assert again(case).state == CaseState.CLOSED
    assert outcomes(case.part) == [Outcome.PASS]


def test_an_audit_that_somebody_rejects_goes_to_the_expert_and_becomes_an_escape(at):
    case = case_of_kind(CaseKind.AUDIT, at)

    judge(case, inspector(), REJECT)
    assert again(case).state == CaseState.TIED
    actions.rule(case=again(case), person=expert(), grade=Grade.BAD, note="crack", defect_type="crack")

    assert [each.pk for each in queries.escapes()] == [case.pk]
    assert outcomes(case.part) == [Outcome.PASS]


def test_every_pass_has_exactly_one_chance_to_be_audited(at):
    case = case_of_kind(CaseKind.AUDIT, at)
    later = timezone.now() + timedelta(seconds=10)

    drawn = actions.draw_audits(
        line=at.station.line, policy=at.policy(audit_share=1.0), now=later, actor=TESTER
    )

    assert drawn == 0
    assert case.draw_share == 1.0


def test_rejects_and_parts_that_people_decided_are_not_drawn(at):
    decided_part(at.station, 0.9)
    later = timezone.now() + timedelta(seconds=10)

    assert (
        actions.draw_audits(line=at.station.line, policy=at.policy(audit_share=1.0), now=later, actor=TESTER)
        == 0
    )


def test_the_share_of_passes_that_are_drawn_is_the_lines(at, monkeypatch):
    rolls = iter([0.0, 0.4, 0.6, 0.9] + [0.99] * 100)
    monkeypatch.setattr(unmarked._dice, "random", lambda: next(rolls))
    for _ in range(4):
        decided_part(at.station, 0.1)
    later = timezone.now() + timedelta(seconds=10)

    policy = at.policy(audit_share=0.5, double_share=0.0)
    drawn = actions.draw_audits(line=at.station.line, policy=policy, now=later, actor=TESTER)

    assert drawn == 2
    assert set(Case.objects.filter(kind=CaseKind.AUDIT).values_list("draw_share", flat=True)) == {0.5}


# --- two people -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", UNMARKED)
def test_a_case_drawn_for_two_goes_back_to_the_queue_for_somebody_else(at, kind):
    case, first = case_of_kind(kind, at), inspector()
    Case.objects.filter(pk=case.pk).update(wants_opinions=2)

    judge(case, first, PASS)

    assert again(case).state == CaseState.WAITING
    assert actions.lease(person=first, lines=None) is None
    judge(case, inspector(), PASS)
    assert again(case).state == CaseState.CLOSED


def test_all_cases_are_drawn_for_two_where_the_share_is_one():
    at = a_floor(double_share=1.0)

    assert [case_of_kind(kind, at).wants_opinions for kind in (CaseKind.HELD, CaseKind.AUDIT)] == [2, 2]


def test_two_who_agree_dispose_the_part_once(at):
    case = case_of_kind(CaseKind.HELD, at)
    Case.objects.filter(pk=case.pk).update(wants_opinions=2)

    judge(case, inspector(), REJECT)
    assert outcomes(case.part) == []
    judge(case, inspector(), REJECT)

    assert outcomes(case.part) == [Outcome.REJECT]


def test_two_who_disagree_make_a_tie(at):
    case = case_of_kind(CaseKind.HELD, at)
    Case.objects.filter(pk=case.pk).update(wants_opinions=2)

    judge(case, inspector(), PASS)
    judge(case, inspector(), REJECT)

    assert (again(case).state, why_tied(case)) == (CaseState.TIED, "disagreement")
    assert outcomes(case.part) == []


def test_who_cannot_tell_asks_the_expert_and_no_second_inspector(at):
    case = case_of_kind(CaseKind.HELD, at)
    Case.objects.filter(pk=case.pk).update(wants_opinions=2)

    judge(case, inspector(), CANNOT_TELL)

    assert (again(case).state, why_tied(case)) == (CaseState.TIED, "cannot_tell")


def test_the_second_inspector_is_told_nothing_of_the_first(at):
    from review.records import leased_record

    case, second = case_of_kind(CaseKind.HELD, at), inspector()
    Case.objects.filter(pk=case.pk).update(wants_opinions=2)
    judge(case, inspector(), REJECT, note="a scratch at the rim")

    leased = actions.lease(person=second, lines=None)

    assert "scratch" not in str(leased_record(leased, second, None))
    assert leased_record(leased, second, None)["first_opinion"] is None


@pytest.mark.parametrize(("score", "verdict"), [(0.1, REJECT), (0.9, PASS)])
def test_a_verdict_against_a_confident_model_is_a_tie(at, score, verdict):
    """A grey part with one view of which the model is sure."""
    from inspection.models import Inspection

    case = case_of_kind(CaseKind.HELD, at)
    decision = "GOOD" if score < 0.3 else "BAD"
    Inspection.objects.filter(part=case.part).update(decision=decision)

    judge(case, inspector(), verdict)

    assert (again(case).state, why_tied(case)) == (CaseState.TIED, "against_model")


# --- newcomers and the watch ------------------------------------------------------------------------------
def test_all_cases_of_somebody_new_go_to_two_people():
    at = a_floor(newcomer_days=7)
    case = case_of_kind(CaseKind.HELD, at)

    judge(case, inspector(), PASS)

    assert again(case).state == CaseState.WAITING
    assert again(case).wants_opinions == 2


def test_who_has_judged_for_longer_than_that_judges_alone():
    at = a_floor(newcomer_days=7)
    old_hand = inspector()
    judge(case_of_kind(CaseKind.AUDIT, at), old_hand, PASS)
    Verdict.objects.filter(person=old_hand).update(given_at=timezone.now() - timedelta(days=8))
    Case.objects.exclude(state=CaseState.CLOSED).update(wants_opinions=1, state=CaseState.TIED)

    case = case_of_kind(CaseKind.HELD, at)
    judge(case, old_hand, PASS)

    assert again(case).state == CaseState.CLOSED


def misjudge_probes(at: Floor, by, count: int) -> None:
    for _ in range(count):
        if queries.standing_watch(by.pk):
            return  # the case would go on to somebody else
        decided_part(at.station, 0.1)  # a number to lend
        judge(case_of_kind(CaseKind.PROBE, at, grade=Grade.BAD), by, PASS)


def test_an_inspector_who_misjudges_one_probe_after_another_comes_on_watch(at):
    by = inspector()

    misjudge_probes(at, by, 6)

    watch = Watch.objects.get(person=by)
    assert "probes were misjudged" in watch.why
    case = case_of_kind(CaseKind.HELD, at)
    judge(case, by, PASS)
    assert again(case).state == CaseState.WAITING


def test_one_misjudged_probe_is_no_watch(at):
    by = inspector()

    misjudge_probes(at, by, 1)

    assert not Watch.objects.filter(person=by).exists()


def test_probes_judged_right_are_no_watch(at):
    by = inspector()
    for _ in range(6):
        decided_part(at.station, 0.1)
        judge(case_of_kind(CaseKind.PROBE, at, grade=Grade.BAD), by, REJECT)

    assert not Watch.objects.filter(person=by).exists()


def test_the_expert_lifts_the_watch_and_the_chart_begins_anew(at):
    by, lead = inspector(), expert()
    misjudge_probes(at, by, 6)
    watch = Watch.objects.get(person=by)

    actions.clear_watch(watch=watch, person=lead, note="trained on scratches")
    misjudge_probes(at, by, 1)

    assert queries.standing_watch(by.pk) is None
    watch.refresh_from_db()
    assert (watch.cleared_by, watch.note) == (lead, "trained on scratches")


# --- first opinions ---------------------------------------------------------------------------------------
def test_a_changed_opinion_is_kept_and_written_down():
    at, by = a_floor(is_blind_first=True), inspector()
    case_of_kind(CaseKind.HELD, at)
    case = actions.lease(person=by, lines=None)
    actions.give_first_opinion(case=case, person=by, token=case.lease_token, verdict=PASS)

    given = say(case, by, REJECT)

    assert (given.first_verdict, given.verdict) == (PASS, REJECT)
    told = Event.objects.get(subject_kind="case", subject_id=case.pk, verb="verdict").details
    assert told["changed_from"] == PASS


def test_the_first_opinion_is_given_once():
    at, by = a_floor(is_blind_first=True), inspector()
    case_of_kind(CaseKind.HELD, at)
    case = actions.lease(person=by, lines=None)
    for _ in range(2):
        actions.give_first_opinion(case=case, person=by, token=case.lease_token, verdict=PASS)

    with pytest.raises(actions.TooLateError):
        actions.give_first_opinion(case=case, person=by, token=case.lease_token, verdict=REJECT)
    assert FirstOpinion.objects.get().verdict == PASS


def test_nobody_gives_a_first_opinion_without_the_lease():
    at, by = a_floor(is_blind_first=True), inspector()
    case = case_of_kind(CaseKind.HELD, at)

    with pytest.raises(actions.LeaseError):
        actions.give_first_opinion(case=case, person=by, token="", verdict=PASS)


@pytest.mark.parametrize(("is_blind_first", "kept"), [(True, REJECT), (False, "")])
def test_a_verdict_without_a_first_opinion_is_itself_the_blind_one(is_blind_first, kept):
    at, by = a_floor(is_blind_first=is_blind_first), inspector()
    case_of_kind(CaseKind.HELD, at)

    given = say(actions.lease(person=by, lines=None), by, REJECT)

    assert given.first_verdict == kept


# --- late grading -----------------------------------------------------------------------------------------
def late_case(at: Floor) -> Case:
    case = case_of_kind(CaseKind.HELD, at)
    deadline_at = timezone.now() - timedelta(seconds=1)
    Case.objects.filter(pk=case.pk).update(deadline_at=deadline_at)
    sweep()
    return again(case)


def test_past_its_deadline_a_part_is_rejected_and_its_case_waits_on_for_the_record():
    case = late_case(a_floor(late_grading_h=8))

    final = case.part.dispositions.get(is_final=True)
    assert (final.outcome, final.source, final.reason) == (Outcome.REJECT, Source.FAIL_SAFE, Reason.DEADLINE)
    assert case.state == CaseState.WAITING
    assert case.deadline_at == case.late_at + timedelta(hours=8)


def test_a_late_verdict_disposes_nothing_and_is_kept():
    case = late_case(a_floor(late_grading_h=8))

    given = judge(case, inspector(), PASS)

    assert outcomes(case.part) == [Outcome.REJECT]
    assert again(case).closed_by == ClosedBy.VERDICT
    assert Verdict.objects.get(pk=given.pk).committed_at is not None


def test_a_case_that_is_late_comes_after_every_case_in_time():
    at = a_floor(late_grading_h=8)
    late = late_case(at)
    fresh = case_of_kind(CaseKind.AUDIT, at)

    assert [case.pk for case in queries.waiting_cases()] == [fresh.pk, late.pk]


def test_a_late_case_that_nobody_grades_is_closed_in_the_end():
    case = late_case(a_floor(late_grading_h=1))

    sweep(after_s=3601)

    assert again(case).closed_by == ClosedBy.DEADLINE
    assert outcomes(case.part) == [Outcome.REJECT]


def test_a_ruling_on_a_late_tie_disposes_nothing_again():
    case = late_case(a_floor(late_grading_h=8))
    judge(case, inspector(), CANNOT_TELL)

    actions.rule(case=again(case), person=expert(), grade=Grade.GOOD, note="fine")

    assert outcomes(case.part) == [Outcome.REJECT]
    assert again(case).closed_by == ClosedBy.RULING


# --- order ------------------------------------------------------------------------------------------------
def test_of_two_cases_in_one_slot_the_one_that_costs_more_comes_first():
    at = a_floor()
    cheap, dear = case_of_kind(CaseKind.HELD, at, score=0.69), case_of_kind(CaseKind.HELD, at, score=0.31)
    Case.objects.update(deadline_slot=1)

    assert [case.pk for case in queries.waiting_cases()] == [dear.pk, cheap.pk]
    assert dear.expected_cost > cheap.expected_cost


# --- flags ------------------------------------------------------------------------------------------------
def test_a_flagged_part_goes_straight_to_the_expert_once(at):
    part, by = decided_part(at.station, 0.1), inspector()

    first, second = (actions.flag_part(part=part, person=by, note="chipped") for _ in range(2))

    assert first == second
    assert (first.kind, first.state) == (CaseKind.FLAGGED, CaseState.TIED)
    assert [case.pk for case in queries.ties()] == [first.pk]
    assert actions.lease(person=by, lines=None) is None


def test_a_confirmed_flag_is_an_escape_and_the_part_stays_disposed(at):
    part = decided_part(at.station, 0.1)
    case = actions.flag_part(part=part, person=inspector(), note="chipped")

    actions.rule(case=queries.cases().get(pk=case.pk), person=expert(), grade=Grade.BAD, note="chipped")

    assert [each.pk for each in queries.escapes()] == [case.pk]
    assert outcomes(part) == [Outcome.PASS]


@pytest.mark.parametrize("score", [0.9, 0.5])
def test_only_a_passed_part_can_be_a_missed_defect(at, score):
    with pytest.raises(actions.UnfitError, match="not passed"):
        actions.flag_part(part=decided_part(at.station, score), person=inspector(), note="")


# --- part in hand -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("code_of", [lambda part: part.serial, lambda part: part.plc_part_id])
def test_a_scanned_part_brings_its_case_before_more_urgent_ones(at, code_of):
    case_of_kind(CaseKind.AUDIT, at)
    part, by = held_part(at.station, serial="SCAN-ME"), inspector()
    already = actions.lease(person=by, lines=None)

    case = actions.lease_in_hand(person=by, code=code_of(part), lines=None)

    assert (case.part, case.state, case.reviewer) == (part, CaseState.LEASED, by)
    assert again(already).state == CaseState.WAITING


def test_a_part_on_another_screen_cannot_be_taken(at):
    held_part(at.station, serial="TAKEN")
    actions.lease(person=inspector(), lines=None)

    with pytest.raises(actions.LeaseError, match="another screen"):
        actions.lease_in_hand(person=inspector(), code="TAKEN", lines=None)


def test_nobody_holds_a_probe_in_the_hand(at):
    case = case_of_kind(CaseKind.PROBE, at)

    for code in (case.shown_part.serial, case.part.serial):
        with pytest.raises(actions.LeaseError, match="waits for a verdict"):
            actions.lease_in_hand(person=inspector(), code=code, lines=None)


def test_nobody_judges_one_part_twice_by_scanning_it(at):
    part, by = held_part(at.station, serial="AGAIN"), inspector()
    actions.open_cases(actor=TESTER)
    Case.objects.filter(part=part).update(wants_opinions=2)
    judge(Case.objects.get(part=part), by, PASS)

    with pytest.raises(actions.LeaseError, match="judged it already"):
        actions.lease_in_hand(person=by, code="AGAIN", lines=None)


# --- overflow ---------------------------------------------------------------------------------------------
def test_a_line_whose_cases_go_by_unjudged_degrades_to_reject_and_comes_back():
    at = station(review_deadline_ms=1_000)
    golden(at)
    actions.set_policy(
        line=at.line, actor=TESTER, **{**CALM, "degrades_on_overflow": True, "late_grading_h": 1}
    )
    for _ in range(4):
        waiting_case(at)
    Case.objects.update(deadline_at=timezone.now() - timedelta(milliseconds=10))
    sweep()
    waiting_case(at)

    sweep()
    at.line.refresh_from_db()
    assert at.line.overflow_since is not None
    part = decided_part(at, 0.5)

    final = part.dispositions.get(is_final=True)
    assert (final.outcome, final.reason) == (Outcome.REJECT, Reason.OVERFLOW)


def test_a_line_that_does_not_watch_overflow_never_degrades():
    at = station(review_deadline_ms=1_000)
    actions.set_policy(
        line=at.line, actor=TESTER, **{**CALM, "degrades_on_overflow": False, "late_grading_h": 1}
    )
    for _ in range(6):
        waiting_case(at)
    Case.objects.update(deadline_at=timezone.now() - timedelta(milliseconds=10))

    sweep()
    sweep()

    at.line.refresh_from_db()
    assert at.line.overflow_since is None
    assert at.line.mode == Mode.TWO_TIER


# --- active time ------------------------------------------------------------------------------------------
def test_active_time_adds_up_and_more_than_the_clock_is_not_believed():
    by = inspector()
    actions.note_activity(person=by, active_ms=5_000)
    Spell.objects.update(last_seen_at=timezone.now() - timedelta(seconds=10))

    spell = actions.note_activity(person=by, active_ms=4_000)
    assert spell.active_ms == 4_000
    Spell.objects.update(last_seen_at=timezone.now() - timedelta(seconds=2))
    spell = actions.note_activity(person=by, active_ms=60_000)

    assert 6_000 <= spell.active_ms < 7_000


def test_a_pause_ends_the_spell():
    by = inspector()
    first = actions.note_activity(person=by, active_ms=0)
    Spell.objects.update(last_seen_at=timezone.now() - PAUSE)

    second = actions.note_activity(person=by, active_ms=1_000)

    assert second.pk != first.pk
    assert Spell.objects.get(pk=first.pk).ended_at is not None


def test_a_break_gives_the_case_to_others_and_ends_the_spell(at):
    by = inspector()
    actions.note_activity(person=by, active_ms=0)
    case_of_kind(CaseKind.HELD, at)
    case = actions.lease(person=by, lines=None)

    spell = actions.take_break(person=by)

    assert spell.ended_at is not None
    assert again(case).state == CaseState.WAITING
    assert actions.lease(person=inspector(), lines=None) == case


# --- the expert's word ------------------------------------------------------------------------------------
def test_a_ruling_may_become_a_precedent_and_a_line_of_the_acceptance_book(at):
    case = case_of_kind(CaseKind.HELD, at)
    judge(case, inspector(), CANNOT_TELL)
    lead = expert()

    ruling = actions.rule(
        case=queries.cases().get(pk=case.pk),
        person=lead,
        grade=Grade.BAD,
        note="deep",
        defect_type="scratch",
        is_precedent=True,
        criterion="A scratch that a nail feels is bad.",
    )

    assert (ruling.is_precedent, ruling.criterion.text) == (True, "A scratch that a nail feels is bad.")
    assert (ruling.criterion.number, ruling.criterion.defect_type) == (1, "scratch")
    assert outcomes(case.part) == [Outcome.REJECT]


def test_the_handling_that_it_took_is_kept_with_the_verdict(at):
    case = case_of_kind(CaseKind.HELD, at)

    given = judge(case, inspector(), CANNOT_TELL, handling="tilt", marks=[[1, 2, 3, 4]], active_ms=60_000)

    given.refresh_from_db()
    assert (given.handling, given.marks, given.active_ms) == ("tilt", [[1, 2, 3, 4]], 60_000)
