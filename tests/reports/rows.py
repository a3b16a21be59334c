"""Rows that the reports' tests start from: PLC links, deliveries, verdicts, known truth."""

from datetime import datetime, timedelta

from django.utils import timezone

from inspection.actions import note_applied
from inspection.models import Disposition, Part, Station
from labeling.models import KnownTruth
from plc.models import Delivery, Mailbox, PlcLink
from plc.states import DeliveryState, LinkState, MailboxKind
from review import actions as review
from review.models import Case, Verdict
from review.states import VerdictWord
from tests import factories


def link_for(station: Station, *, is_up: bool = True) -> PlcLink:
    now = timezone.now()
    link = PlcLink.objects.create(
        code=f"P{station.pk}",
        host="127.0.0.1",
        state=LinkState.CONNECTED if is_up else LinkState.DISCONNECTED,
        plc_hb_at=now,
        lease_owner="gateway",
        lease_expires_at=now + timedelta(minutes=1),
        fencing_number=1,
    )
    Mailbox.objects.create(link=link, station=station, code=station.code, kind=MailboxKind.AUTOMATIC)
    Mailbox.objects.create(link=link, station=station, code=station.hold_mailbox, kind=MailboxKind.LATE)
    return link


def deliver(
    disposition: Disposition,
    *,
    after_ms: int = 100,
    state: DeliveryState = DeliveryState.ACKED,
    seq: int | None = None,
) -> Delivery:
    """The PLC's answer, `after_ms` after the trigger of the part."""
    station = disposition.part.station
    kind = MailboxKind.AUTOMATIC
    mailbox = Mailbox.objects.get(station=station, kind=kind)
    at = disposition.part.triggered_at + timedelta(milliseconds=after_ms)
    is_acked = state == DeliveryState.ACKED
    if is_acked:
        note_applied(disposition=disposition, at=at)
    return Delivery.objects.create(
        disposition=disposition,
        mailbox=mailbox,
        numbering=1,
        seq=seq or mailbox.deliveries.count() + 1,
        state=state,
        fencing_number=1,
        queued_at=at,
        sent_at=at,
        acked_at=None if state == DeliveryState.SENT else at,
        ack_code=1 if is_acked else None if state == DeliveryState.SENT else 4,
        problem="" if state != DeliveryState.REFUSED else "too late",
    )


def say(part: Part, word: VerdictWord, *, person=None, is_committed: bool = True) -> Verdict:
    """An inspector takes the part's case, says the word, and it is carried out."""
    person = person or factories.inspector()
    review.open_cases(actor=factories.TESTER)
    case = Case.objects.get(part=part)
    Case.objects.filter(part=part).update(deadline_slot=0)  # the most urgent of all
    leased = review.lease(person=person, lines=None)
    assert leased.pk == case.pk
    verdict = review.give_verdict(
        case=leased, person=person, token=leased.lease_token, verdict=word, idempotency_key=f"key-{part.pk}"
    )
    if is_committed:
        verdict = Verdict.objects.select_related("case__part__line", "person").get(pk=verdict.pk)
        review.commit_verdict(verdict=verdict, actor=factories.TESTER)
    part.refresh_from_db()
    return verdict


def know(part: Part, grade: str) -> None:
    KnownTruth.objects.create(part=part, grade=grade)


def shift(part: Part, by: timedelta) -> datetime:
    """Move a part's trigger in time, past the actions that always say now."""
    at = part.triggered_at + by
    Part.objects.filter(pk=part.pk).update(triggered_at=at)
    return at
