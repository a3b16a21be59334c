"""What a correction changes, what it leaves, and when it is refused."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.models import Event
from inspection import actions
from inspection.actions import CorrectionError
from inspection.models import Disposition, Part
from inspection.states import Outcome, Reason, Source
from tests import factories

pytestmark = pytest.mark.django_db


def judged(outcome: Outcome = Outcome.PASS) -> Part:
    part = factories.held_part()
    actions.dispose(
        part=part, outcome=outcome, source=Source.HUMAN, reason=Reason.VERDICT, person=factories.inspector(),
        actor=factories.TESTER,
    )  # fmt: skip
    return part


def correct(part: Part, outcome: Outcome, **other) -> Disposition:
    fields = {"person": factories.expert(), "note": "a crack at the rim", "actor": factories.TESTER, **other}
    return actions.correct(part=part, outcome=outcome, **fields)


def rows(part: Part) -> list[tuple]:
    return [
        (row.outcome, row.is_final, row.source, row.superseded_at is not None)
        for row in part.dispositions.order_by("id")
    ]


def test_the_correction_is_final_and_the_former_disposition_stays_as_a_row():
    part = judged()
    corrected = correct(part, Outcome.REJECT)
    assert (corrected.reason, corrected.note) == (Reason.CORRECTION, "a crack at the rim")
    assert rows(part) == [
        ("HOLD", False, Source.MODEL, False),
        ("PASS", False, Source.HUMAN, True),
        ("REJECT", True, Source.CHANGED, False),
    ]
    event = Event.objects.get(subject_kind="part", verb="corrected")
    assert event.details == {"before": "PASS", "after": "REJECT", "note": "a crack at the rim"}


def test_a_correction_can_be_corrected_back():
    part = judged()
    correct(part, Outcome.REJECT)
    correct(part, Outcome.PASS)
    assert [row for row in rows(part) if row[1]] == [("PASS", True, Source.CHANGED, False)]


@pytest.mark.parametrize("wrong", [{"outcome": Outcome.HOLD}, {"note": " "}])
def test_a_correction_is_pass_or_reject_and_says_why(wrong):
    with pytest.raises(ValueError, match="says why"):
        correct(judged(), **{"outcome": Outcome.REJECT, **wrong})


def test_a_part_that_was_never_held_is_not_corrected():
    with pytest.raises(CorrectionError, match="was never held"):
        correct(factories.decided_part(factories.station(), 0.1), Outcome.REJECT)


def test_a_part_that_is_still_held_has_nothing_to_correct():
    with pytest.raises(CorrectionError, match="no final disposition yet"):
        correct(factories.held_part(), Outcome.REJECT)


def test_the_same_outcome_is_no_correction():
    with pytest.raises(CorrectionError, match="has the disposition PASS already"):
        correct(judged(), Outcome.PASS)


def test_what_the_plc_has_carried_out_stands():
    part = judged()
    actions.note_applied(disposition=part.dispositions.get(is_final=True), at=timezone.now())
    with pytest.raises(CorrectionError, match="The PLC has carried it out"):
        correct(part, Outcome.REJECT)
    assert len(rows(part)) == 2


# --- refused by the PLC ------------------------------------------------------------------------------------
def reinstate(refused: Disposition) -> Disposition | None:
    return actions.reinstate_former(refused=refused, problem="too late", actor=factories.TESTER)


def test_what_the_plc_carried_out_before_the_correction_stands_again():
    part = judged()
    verdict = part.dispositions.get(is_final=True)
    corrected = correct(part, Outcome.REJECT)
    actions.note_applied(disposition=verdict, at=timezone.now())
    assert reinstate(corrected) == verdict
    assert rows(part)[1:] == [("PASS", True, Source.HUMAN, False), ("REJECT", False, Source.CHANGED, True)]
    event = Event.objects.get(subject_kind="part", verb="reinstated")
    assert event.details == {"before": "REJECT", "after": "PASS", "problem": "too late"}


@pytest.mark.parametrize(
    ("said", "corrected", "source"),
    [(Outcome.REJECT, Outcome.PASS, Source.HUMAN), (Outcome.PASS, Outcome.REJECT, Source.CHANGED)],
)
def test_where_the_plc_carried_out_nothing_the_reject_stands(said, corrected, source):
    part = judged(said)
    reinstate(correct(part, corrected))
    assert [(row[0], row[2]) for row in rows(part) if row[1]] == [("REJECT", source)]


def test_a_refused_correction_that_was_corrected_again_brings_nothing_back():
    part = judged()
    corrected = correct(part, Outcome.REJECT)
    again = correct(part, Outcome.PASS)
    assert reinstate(corrected) is None
    assert part.dispositions.get(is_final=True) == again


# --- what the database refuses -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("row", "lie"),
    [
        ({"is_final": True}, {"is_final": False}),
        ({"is_final": True}, {"superseded_at": timezone.now()}),
        ({"outcome": "HOLD"}, {"superseded_at": timezone.now()}),
        ({"outcome": "HOLD"}, {"is_final": True}),
        ({"outcome": "PASS"}, {"is_final": True, "superseded_at": None}),  # beside the correction
        ({"is_final": True}, {"note": ""}),
        ({"is_final": True}, {"person": None}),
        ({"outcome": "PASS"}, {"outcome": "HOLD", "superseded_at": None}),
    ],
)
def test_the_database_refuses_what_the_rules_forbid(row, lie):
    part = judged()
    correct(part, Outcome.REJECT)
    with pytest.raises(IntegrityError), transaction.atomic():
        part.dispositions.filter(**row).update(**lie)
