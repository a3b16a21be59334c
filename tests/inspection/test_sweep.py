"""Nothing waits for ever, and silence is never PASS."""

from datetime import timedelta

import pytest
from django.utils import timezone

from inspection import actions
from inspection.models import Part
from inspection.states import Mode, Reason
from tests import factories

pytestmark = pytest.mark.django_db


def later(seconds):
    return timezone.now() + timedelta(seconds=seconds)


@pytest.mark.parametrize(("mode", "outcome"), [(Mode.TWO_TIER, "HOLD"), (Mode.AUTOMATIC, "REJECT")])
def test_a_trigger_without_image_fails_safe_with_the_reason_no_image(mode, outcome):
    station = factories.station(mode=mode)
    part = actions.trigger(station=station, trigger_seq=1, actor=factories.TESTER)
    assert actions.sweep(now=later(2), actor=factories.TESTER)["no_image"] == 0
    assert actions.sweep(now=later(4), actor=factories.TESTER)["no_image"] == 1
    disposition = part.dispositions.get()
    assert (disposition.outcome, disposition.reason) == (outcome, Reason.NO_IMAGE)


@pytest.mark.parametrize(("mode", "outcome"), [(Mode.TWO_TIER, "HOLD"), (Mode.AUTOMATIC, "REJECT")])
def test_a_part_that_no_worker_inspects_fails_safe(mode, outcome):
    part = factories.captured_part(factories.station(mode=mode))
    assert actions.sweep(now=later(10), actor=factories.TESTER)["late"] == 0
    assert actions.sweep(now=later(16), actor=factories.TESTER)["late"] == 1
    disposition = part.dispositions.get()
    assert (disposition.outcome, disposition.reason) == (outcome, Reason.INSPECTION_LATE)


def test_a_lost_ring_is_rung_again_but_not_at_every_turn():
    part = factories.captured_part()
    assert actions.sweep(now=later(1), actor=factories.TESTER)["rung"] == 0
    assert actions.sweep(now=later(4), actor=factories.TESTER)["rung"] == 1
    assert actions.sweep(now=timezone.now(), actor=factories.TESTER)["rung"] == 0
    assert Part.objects.get(pk=part.pk).rung_at is not None


def test_a_late_image_reaches_the_person_who_holds_the_part():
    station = factories.station()
    part = actions.trigger(station=station, trigger_seq=1, actor=factories.TESTER)
    actions.sweep(now=later(4), actor=factories.TESTER)
    done = actions.capture(station=station, trigger_seq=1, data=factories.png(), actor=factories.TESTER)
    part.refresh_from_db()
    assert (part.state, part.images.count(), done.part.pk) == ("held", 1, part.pk)
