"""What a look means for the part, and what can never be."""

import math
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.transitions import IllegalMove, StaleState
from inspection import actions
from inspection.actions.decisions import _claim
from inspection.look import Look
from inspection.models import Disposition, FrozenConfigurationError, GoldenConfiguration, Inspection, Part
from inspection.states import Mode, Outcome, PartState, Reason, Source
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("score", "decision", "outcome", "state"),
    [
        (0.0, "GOOD", "PASS", "disposed"),
        (0.2999, "GOOD", "PASS", "disposed"),
        (0.3, "GREY", "HOLD", "held"),
        (0.6999, "GREY", "HOLD", "held"),
        (0.7, "BAD", "REJECT", "disposed"),
        (1.0, "BAD", "REJECT", "disposed"),
    ],
)
def test_two_thresholds_make_three_decisions(score, decision, outcome, state):
    station = factories.station()
    factories.golden(station, grey_from=0.3, grey_to=0.7)
    part = factories.decided_part(station, score)
    assert part.state == state
    assert part.inspections.get().decision == decision
    assert part.dispositions.get().outcome == outcome


def test_an_automatic_line_rejects_grey_parts():
    part = factories.held_part(factories.station(mode=Mode.AUTOMATIC))
    disposition = part.dispositions.get()
    assert (part.state, disposition.outcome, disposition.source) == ("disposed", "REJECT", Source.FAIL_SAFE)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_never_passes(score):
    station = factories.station()
    part = factories.captured_part(station)
    look = Look(Reason.CLEAR, golden=factories.golden(station), score=score)
    with pytest.raises(ValueError, match="finite"):
        actions.decide(part=part, look=look, actor=factories.TESTER)
    part.refresh_from_db()
    assert part.state == PartState.CAPTURED
    assert not Disposition.objects.exists()


@pytest.mark.parametrize(
    "reason",
    [Reason.NO_MODEL, Reason.WRONG_MODEL, Reason.NON_FINITE_SCORE, Reason.CHANGED_IMAGE, Reason.NO_IMAGE],
)
def test_every_problem_of_a_look_holds_the_part_and_says_why(reason):
    part = factories.captured_part()
    actions.decide(part=part, look=Look(reason, problem="something broke"), actor=factories.TESTER)
    assert (part.state, part.hold_reason) == ("held", reason)
    assert part.inspections.get().problem == "something broke"


def test_a_part_gets_exactly_one_final_disposition():
    part = factories.held_part()
    person = factories.inspector()
    human = {
        "part": part,
        "source": Source.HUMAN,
        "reason": Reason.VERDICT,
        "person": person,
        "actor": factories.TESTER,
    }
    stale = Part.objects.get(pk=part.pk)
    actions.dispose(outcome=Outcome.PASS, **human)
    with pytest.raises(StaleState):
        actions.dispose(outcome=Outcome.REJECT, **{**human, "part": stale})
    with pytest.raises(IllegalMove):
        actions.dispose(outcome=Outcome.REJECT, **human)
    assert part.dispositions.filter(is_final=True).count() == 1


def test_the_database_refuses_a_second_final_disposition():
    part = factories.decided_part(factories.station(), 0.1)
    with pytest.raises(
        IntegrityError, match=r"a_part_has_one_final_disposition|inspection_disposition.part_id"
    ):
        Disposition.objects.create(
            part=part,
            outcome=Outcome.REJECT,
            is_final=True,
            source=Source.FAIL_SAFE,
            reason=Reason.DEADLINE,
            decided_at=timezone.now(),
        )


def test_the_database_refuses_a_pass_of_nobody():
    part = factories.held_part()
    for source in (Source.FAIL_SAFE, Source.HUMAN, Source.MODEL):
        with pytest.raises(IntegrityError, match="a_pass_needs"), transaction.atomic():
            Disposition.objects.create(
                part=part,
                outcome=Outcome.PASS,
                is_final=True,
                source=source,
                reason=Reason.CLEAR,
                decided_at=timezone.now(),
            )


def test_the_database_refuses_a_decision_with_nan():
    station = factories.station()
    part = factories.captured_part(station)
    with pytest.raises(IntegrityError), transaction.atomic():
        Inspection.objects.create(
            part=part,
            golden=factories.golden(station),
            score=math.nan,
            decision="GOOD",
            decided_by="test",
            finished_at=timezone.now(),
        )


def test_hold_is_never_final():
    with pytest.raises(ValueError, match="never final"):
        actions.dispose(
            part=factories.held_part(),
            outcome=Outcome.HOLD,
            source=Source.MODEL,
            reason=Reason.GREY_BAND,
            actor=factories.TESTER,
        )


def test_a_locked_golden_configuration_cannot_be_changed():
    golden = factories.golden(factories.station())
    golden.grey_from = 0.69
    with pytest.raises(FrozenConfigurationError):
        golden.save()


def test_a_line_has_one_active_golden_configuration():
    station = factories.station()
    first, second = factories.golden(station), factories.golden(station)
    first.refresh_from_db()
    assert (first.state, second.state) == ("retired", "active")
    with pytest.raises(IntegrityError):
        GoldenConfiguration.objects.filter(pk=first.pk).update(state="active")


def claimed(worker="w1", **which):
    return [
        part.pk for part in actions.claim_waiting(worker=worker, limit=10, actor=factories.TESTER, **which)
    ]


def test_a_part_that_crashed_its_worker_three_times_is_held():
    part = factories.captured_part()
    for _ in range(3):
        assert claimed() == [part.pk]
        assert actions.release_claims(worker="w1") == 1  # the worker died and started again
    assert claimed() == []
    part.refresh_from_db()
    assert (part.state, part.hold_reason) == ("held", Reason.INSPECTION_FAILED)


def test_a_part_in_one_workers_hands_is_not_given_to_another():
    part = factories.captured_part()
    assert claimed("w1") == [part.pk]
    assert claimed("w2") == []
    assert actions.release_claims(worker="w2") == 0
    Part.objects.update(claimed_at=timezone.now() - timedelta(minutes=1))  # w1 must be dead
    assert claimed("w2") == [part.pk]


def test_of_two_workers_that_see_the_same_part_one_gets_it():
    part = factories.captured_part()
    seen = Part.objects.get()
    assert claimed("w1") == [part.pk]
    assert not _claim(seen, "w2")


def test_what_a_worker_has_in_its_hands_is_not_claimed_again():
    one, two = factories.captured_part(), factories.captured_part()
    assert claimed(besides=[one.pk]) == [two.pk]
    assert claimed(only=two.pk) == []


def test_a_map_kept_after_the_decision_never_replaces_one():
    part = factories.captured_part()
    inspection = actions.decide(part=part, look=Look(Reason.NO_MODEL, problem="none"), actor=factories.TESTER)
    actions.add_map(inspection=inspection, map_file="maps/a.png")
    actions.add_map(inspection=inspection, map_file="maps/b.png")
    inspection.refresh_from_db()
    assert inspection.map_file == "maps/a.png"
