"""One bad row never keeps the rows behind it waiting, and nobody rules after the deadline."""

from datetime import timedelta

import pytest
from django.utils import timezone

from inspection.models import Disposition
from inspection.states import Outcome, Reason, Source
from review import actions
from review.actions.sweep import _end_lease as end_lease
from review.models import Case
from review.states import CaseState, Grade
from tests import factories

pytestmark = pytest.mark.django_db


def waiting(count: int) -> list[Case]:
    at = factories.station()
    for _ in range(count):
        factories.held_part(at)
    actions.open_cases(actor=factories.TESTER)
    return list(Case.objects.order_by("pk"))


def test_a_row_that_cannot_be_swept_leaves_the_others_their_deadline(caplog):
    broken, sound = waiting(2)
    # A held part whose final disposition is already written: its expiry meets the UNIQUE constraint.
    Disposition.objects.create(
        part=broken.part,
        outcome=Outcome.REJECT,
        is_final=True,
        source=Source.FAIL_SAFE,
        reason=Reason.DEADLINE,
        decided_at=timezone.now(),
    )
    done = actions.sweep(now=timezone.now() + timedelta(hours=1), actor=factories.TESTER)
    sound.refresh_from_db()
    broken.refresh_from_db()
    assert done["expired"] == 1
    assert (sound.state, broken.state) == (CaseState.CLOSED, CaseState.WAITING)
    assert "waits for the next turn" in caplog.text


def test_a_lease_that_was_renewed_after_the_sweeper_looked_is_kept():
    (case,) = waiting(1)
    person = factories.inspector()
    leased = actions.lease(person=person, lines=None)
    seen_before = Case.objects.get(pk=case.pk)
    actions.renew_lease(case=leased, person=person, token=leased.lease_token)
    end_lease(seen_before, factories.TESTER)
    assert Case.objects.get(pk=case.pk).state == CaseState.LEASED


def test_nobody_rules_a_tie_after_its_deadline():
    (case,) = waiting(1)
    Case.objects.filter(pk=case.pk).update(
        state=CaseState.TIED, deadline_at=timezone.now() - timedelta(seconds=1)
    )
    case.refresh_from_db()
    with pytest.raises(actions.TooLateError, match="deadline"):
        actions.rule(case=case, person=factories.expert(), grade=Grade.GOOD, note="fine")
    assert not case.part.dispositions.filter(is_final=True).exists()
