"""A correction against everything that the gateway does at the same moment: one is first, and the other is told."""

from dataclasses import dataclass

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspection.actions import CorrectionError, correct, dispose
from inspection.models import Disposition, Part
from inspection.states import Outcome, Reason, Source
from plc import actions, queries
from plc.handshake import AckCode
from plc.models import Delivery, Mailbox
from plc.states import DeliveryState, MailboxKind
from tests.factories import TESTER, expert, golden, held_part, inspector, station
from tests.review.helpers import at_once

LATE = AckCode.TOO_LATE


@dataclass
class Lane:
    """A part whose verdict is PASS, and the gateway's side of it without a PLC."""

    part: Part
    lease: actions.Lease
    person: object

    @classmethod
    def open(cls) -> "Lane":
        at = station()
        golden(at)
        link = actions.set_up_link(code="PLC1", host="127.0.0.1", port=44818, station=at, actor=TESTER)
        lane = cls(held_part(at), actions.take_lease(link=link, owner="first"), expert())
        dispose(
            part=lane.part, outcome=Outcome.PASS, source=Source.HUMAN, reason=Reason.VERDICT, person=inspector(),
            actor=TESTER,
        )  # fmt: skip
        return lane

    def fence(self):
        return actions.held_fence(lease=self.lease, actor=TESTER)

    def enqueue(self) -> None:
        with self.fence() as fence:
            rows = list(queries.undelivered_dispositions())
            actions.enqueue_deliveries(dispositions=rows, fence=fence)

    def send(self) -> bool | None:
        """Send the next of the late mailbox, as the gateway does; None if one is on its way or none waits."""
        with self.fence() as fence:
            box = Mailbox.objects.get(kind=MailboxKind.LATE)
            head = queries.open_deliveries(box).first()
            if head is None or head.state == DeliveryState.SENT:
                return None
            return actions.mark_sent(delivery=head, fence=fence)

    def answer(self, code: int) -> bool:
        """The PLC's answer to what is on its way; False if nothing is."""
        with self.fence() as fence:
            row = Delivery.objects.filter(mailbox__kind=MailboxKind.LATE, state=DeliveryState.SENT).first()
            if row is None:
                return False
            if code == AckCode.APPLIED:
                actions.mark_acked(delivery=row, at=timezone.now(), fence=fence)
            else:
                actions.mark_refused(delivery=row, code=code, at=timezone.now(), fence=fence)
            return True

    def change(self) -> Disposition:
        """The other outcome than the one that stands."""
        outcome = Outcome.REJECT if self.final.outcome == Outcome.PASS else Outcome.PASS
        return correct(part=self.part, outcome=outcome, person=self.person, note="seen again", actor=TESTER)

    @property
    def final(self) -> Disposition:
        return Disposition.objects.get(part=self.part, is_final=True)  # never two, never none

    def finish(self) -> None:
        """The rest of the handshake with a PLC that lets the part go at its first word."""
        for _ in range(9):
            self.enqueue()
            is_gone = Disposition.objects.filter(
                part=self.part, applied_at__isnull=False
            ).exclude(outcome=Outcome.HOLD).exists()  # fmt: skip
            self.send()
            self.answer(LATE if is_gone else AckCode.APPLIED)

    def check(self) -> None:
        final = self.final
        applied = Disposition.objects.filter(part=self.part, applied_at__isnull=False).exclude(outcome="HOLD")
        assert [row.pk for row in applied] == [final.pk]
        assert not Delivery.objects.filter(mailbox__kind="late", state__in=["queued", "sent"]).exists()
        numbers = sorted(
            Delivery.objects.filter(mailbox__kind="late", seq__isnull=False).values_list("seq", flat=True)
        )
        assert numbers == list(range(1, len(numbers) + 1))
        assert Mailbox.objects.get(kind="late").next_seq == len(numbers) + 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(2))
@pytest.mark.parametrize("at_the_same_moment", ["enqueue", "send", "answer"])
def test_of_a_correction_and_a_step_of_the_gateway_one_is_first_and_the_other_is_told(
    at_the_same_moment, attempt
):
    lane = Lane.open()
    lane.enqueue()
    if at_the_same_moment == "enqueue":
        Delivery.objects.filter(mailbox__kind="late").delete()
        Mailbox.objects.filter(kind="late").update(next_seq=1)
    if at_the_same_moment == "answer":
        lane.send()
    steps = {"enqueue": lane.enqueue, "send": lane.send, "answer": lambda: lane.answer(AckCode.APPLIED)}

    changed, stepped = at_once(lane.change, steps[at_the_same_moment])

    assert not isinstance(stepped, Exception)
    if at_the_same_moment != "answer":
        assert isinstance(changed, Disposition)
    elif isinstance(changed, Exception):
        assert isinstance(changed, CorrectionError)
        assert "The PLC has carried it out" in str(changed)
        assert lane.final.outcome == Outcome.PASS
    lane.finish()
    lane.check()


@pytest.mark.django_db
def test_what_was_corrected_after_the_gateway_looked_waits_for_its_correction_and_is_not_sent():
    lane = Lane.open()
    lane.enqueue()
    lane.change()
    assert lane.send() is False
    lane.enqueue()
    assert lane.send() is True
    sent = Delivery.objects.get(state=DeliveryState.SENT)
    assert (sent.disposition.source, sent.seq) == (Source.CHANGED, 1)
    lane.finish()
    lane.check()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(2))
def test_of_a_second_correction_and_the_refusal_of_the_first_one_is_first(attempt):
    lane = Lane.open()
    lane.enqueue()
    lane.send()
    lane.change()
    lane.answer(AckCode.APPLIED)  # the verdict was carried out before
    lane.enqueue()
    lane.send()

    changed, refused = at_once(lane.change, lambda: lane.answer(LATE))

    assert refused is True
    assert isinstance(changed, Disposition | CorrectionError)
    lane.finish()
    lane.check()
    assert lane.final.outcome == Outcome.PASS


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(2))
def test_two_corrections_at_once_make_one(attempt):
    lane = Lane.open()
    outcomes = at_once(lane.change, lane.change)
    assert [type(each) for each in outcomes].count(CorrectionError) <= 1
    assert Disposition.objects.filter(part=lane.part, is_final=True).count() == 1
    lane.finish()
    lane.check()


STEPS = st.lists(
    st.sampled_from(["enqueue", "send", "applied", "late", "manual", "change"]), min_size=1, max_size=14
)


@pytest.mark.django_db
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_the_order_one_disposition_stands_and_it_is_what_the_plc_did(steps):
    """A PLC that lets the part go once: after its first `applied` every answer is `too late`."""
    with transaction.atomic():
        lane, is_gone = Lane.open(), False
        for step in steps:
            match step:
                case "enqueue":
                    lane.enqueue()
                case "send":
                    lane.send()
                case "applied":
                    is_gone |= lane.answer(LATE if is_gone else AckCode.APPLIED)
                case "late" | "manual":
                    lane.answer(LATE if step == "late" or is_gone else AckCode.NOT_IN_AUTO)
                case "change":
                    before, was_applied = lane.final, lane.final.applied_at is not None
                    try:
                        assert lane.change().pk != before.pk
                        assert not was_applied
                    except CorrectionError:
                        assert was_applied
            final = lane.final
            superseded = Disposition.objects.filter(part=lane.part, superseded_at__isnull=False)
            assert not superseded.filter(is_final=True).exists()
            open_late = Delivery.objects.filter(mailbox__kind="late", state__in=["queued", "sent"])
            if is_gone and not open_late.exists() and not queries.undelivered_dispositions().exists():
                assert final.applied_at is not None
        transaction.set_rollback(True)
