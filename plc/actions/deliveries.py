"""Deliveries: numbered before the first byte goes out, ended by the PLC program's answer and nothing else.

What the gateway writes it writes inside `links.held_fence`: another gateway cannot take over in between.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from audit.actor import Actor
from audit.transitions import move, record
from inspection.actions import note_applied, reinstate_former
from inspection.models import Disposition
from inspection.states import Outcome, Source
from plc.actions.links import Fence
from plc.handshake import ACK_SENTENCES, AckCode, Resync
from plc.models import Delivery, Mailbox
from plc.outbox import words_of
from plc.states import OPEN_DELIVERY_STATES, DeliveryState, MailboxKind

CORRECTED = "superseded by a correction"


def enqueue_deliveries(*, dispositions: Sequence[Disposition], fence: Fence) -> list[Delivery]:
    """Give each disposition its delivery and the next number of its mailbox, in the order given.

    dispositions  from `queries.undelivered_dispositions`: part and inspection selected, `was_held` annotated

    A disposition that cannot be put into the PLC's words is refused here, one that was corrected meanwhile is withdrawn;
    both take no number. A correction takes number and place of the one that it corrects, if that still waits: so no
    number is skipped, and the PLC never hears of the other.
    """
    if not dispositions:
        return []
    mailboxes = {(box.station_id, box.kind): box for box in Mailbox.objects.filter(link=fence.lease.link_id)}
    now, made = timezone.now(), []
    for row in dispositions:
        is_late = row.outcome != Outcome.HOLD and _was_held(row)
        kind = MailboxKind.LATE if is_late else MailboxKind.AUTOMATIC
        made.append(_numbered(row, mailboxes[row.part.station_id, kind], fence, now))
    Delivery.objects.bulk_create(made)
    for mailbox in {delivery.mailbox for delivery in made}:
        Mailbox.objects.filter(pk=mailbox.pk).update(next_seq=mailbox.next_seq)
    for delivery in made:
        if delivery.seq is None:
            record(delivery, delivery.state, actor=fence.actor, details={"problem": delivery.problem})
    return made


def _was_held(row: Disposition) -> bool:
    held: bool = row.was_held  # type: ignore[attr-defined]  # annotated by the query
    return held


def _numbered(row: Disposition, mailbox: Mailbox, fence: Fence, now: datetime) -> Delivery:
    delivery = Delivery(
        disposition=row,
        mailbox=mailbox,
        numbering=mailbox.numbering,
        seq=mailbox.next_seq,
        fencing_number=fence.lease.fencing_number,
        queued_at=now,
    )
    if row.superseded_at is not None:
        delivery.state, delivery.seq, delivery.problem = DeliveryState.WITHDRAWN, None, CORRECTED
        return delivery
    try:
        words_of(row, seq=mailbox.next_seq)
    except ValueError as problem:
        delivery.state, delivery.seq, delivery.problem = DeliveryState.REFUSED, None, str(problem)[:300]
        return delivery
    if row.source == Source.CHANGED and (place := _withdrawn_place(row, mailbox, fence)):
        delivery.seq = place
    else:
        mailbox.next_seq += 1
    return delivery


def _withdrawn_place(correction: Disposition, mailbox: Mailbox, fence: Fence) -> int | None:
    """The number of the corrected disposition, which gives it up; None if it went out before."""
    waiting = (
        Delivery.objects.select_related("mailbox")
        .filter(mailbox=mailbox, disposition__part=correction.part_id, state=DeliveryState.QUEUED)
        .first()
    )
    if waiting is None:
        return None
    place = waiting.seq
    move(
        waiting,
        DeliveryState.WITHDRAWN,
        actor=fence.actor,
        details={"mailbox": mailbox.code, "seq": place, "disposition": waiting.disposition_id},
        seq=None,
        problem=CORRECTED,
        fencing_number=fence.lease.fencing_number,
    )
    return place


def mark_sent(*, delivery: Delivery, fence: Fence) -> bool:
    """From now on it may be in the PLC. Written before the first byte goes out; its event comes with the answer.

    False for a disposition that was corrected meanwhile: it stays, until the correction takes its place.
    """
    now = timezone.now()
    waiting = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.QUEUED)
    if delivery.mailbox.kind == MailboxKind.LATE:  # what goes through the other mailbox is never corrected
        waiting = waiting.filter(disposition__superseded_at=None)
    if not waiting.update(
        state=DeliveryState.SENT,
        version=F("version") + 1,
        sent_at=now,
        attempts=1,
        fencing_number=fence.lease.fencing_number,
    ):
        return False
    delivery.state, delivery.sent_at, delivery.attempts = DeliveryState.SENT, now, 1
    delivery.version += 1
    return True


def begin_again(*, delivery: Delivery, fence: Fence) -> None:
    """Count another attempt at the same number, after a failure or in a new gateway."""
    Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.SENT).update(
        attempts=F("attempts") + 1, fencing_number=fence.lease.fencing_number
    )
    delivery.attempts += 1


def mark_acked(*, delivery: Delivery, at: datetime, fence: Fence) -> None:
    """The PLC program applied it: from now on nobody corrects it. Raises StaleState."""
    _answered(delivery, DeliveryState.ACKED, AckCode.APPLIED, "", at, fence)
    note_applied(disposition=delivery.disposition, at=at)


def mark_refused(*, delivery: Delivery, code: int, at: datetime, fence: Fence) -> None:
    """The PLC program answered with another code: shown to the operator, never retried. Raises StaleState.

    Of a refused correction the former disposition stands again.
    """
    problem = ACK_SENTENCES.get(code, f"unknown answer {code} of the PLC")
    _answered(delivery, DeliveryState.REFUSED, code, problem, at, fence)
    if delivery.disposition.source == Source.CHANGED:
        reinstate_former(refused=delivery.disposition, problem=problem, actor=fence.actor)


def _answered(delivery: Delivery, to: str, code: int, problem: str, at: datetime, fence: Fence) -> None:
    move(
        delivery,
        to,
        actor=fence.actor,
        details={
            "mailbox": delivery.mailbox.code,
            "seq": delivery.seq,
            "code": int(code),
            "disposition": delivery.disposition_id,
            "part": delivery.disposition.part_id,
            "attempts": delivery.attempts,
        },
        ack_code=int(code),
        acked_at=at,
        problem=problem,
        fencing_number=fence.lease.fencing_number,
    )


def resynchronise(*, mailbox: Mailbox, plan: Resync, at: datetime, fence: Fence) -> str:
    """Carry out the handshake's plan after a disagreement; returns the sentence that a person must see.

    The delivery on its way is ended if the plan found its answer; whatever is still open goes on at `plan.next_seq`
    in the same order, under a new numbering if its numbers change.
    """
    rows = list(
        Delivery.objects.select_related("mailbox", "disposition")
        .filter(mailbox=mailbox, state__in=OPEN_DELIVERY_STATES)
        .order_by("seq")
    )
    if plan.acked_seq is not None:
        answered = rows.pop(0)
        if plan.ack_code == AckCode.APPLIED:
            mark_acked(delivery=answered, at=at, fence=fence)
        else:
            mark_refused(delivery=answered, code=plan.ack_code, at=at, fence=fence)
    numbers = [row.seq for row in rows]
    wanted = list(range(plan.next_seq, plan.next_seq + len(rows)))
    before = mailbox.next_seq
    mailbox.next_seq, mailbox.plc_boot = plan.next_seq + len(rows), plan.boot
    if numbers != wanted or mailbox.next_seq != before:
        mailbox.numbering += 1
        for row, seq in zip(rows, wanted, strict=True):
            row.former_seqs = [*row.former_seqs, row.seq]
            row.numbering, row.seq, row.fencing_number = mailbox.numbering, seq, fence.lease.fencing_number
        Delivery.objects.bulk_update(rows, ["former_seqs", "numbering", "seq", "fencing_number"])
    mailbox.save(update_fields=["next_seq", "numbering", "plc_boot"])
    record(
        mailbox,
        "resynchronised",
        actor=fence.actor,
        details={
            "next_seq": plan.next_seq,
            "boot": plan.boot,
            "open": numbers,
            "numbering": mailbox.numbering,
        },
    )
    return f"{mailbox.code} was re-synchronised at number {plan.next_seq}; {len(rows)} deliveries were still open."


def remember_boot(*, mailbox: Mailbox, boot: int, fence: Fence) -> None:
    """Keep the PlcBoot of a PLC that is seen for the first time."""
    mailbox.plc_boot = boot
    mailbox.save(update_fields=["plc_boot"])


@transaction.atomic
def note_refusal_seen(*, delivery: Delivery, actor: Actor) -> None:
    """A person took note of a refused delivery; it leaves the list of alarms, not the record."""
    now = timezone.now()
    if Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.REFUSED, seen_at=None).update(seen_at=now):
        delivery.seen_at = now
        record(delivery, "refusal_seen", actor=actor)
