"""What the gateway writes, without a PLC: numbers, the lease, and the rules that the database says again."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.models import Event
from audit.transitions import IllegalMove
from inspection.actions import capture, dispose
from inspection.models import Disposition, Part, Station
from inspection.states import Outcome, Reason, Source
from plc import actions, queries
from plc.handshake import Resync
from plc.models import Delivery, Mailbox, PlcLink
from tests.factories import TESTER, decided_part, golden, held_part, inspector, png, station

pytestmark = pytest.mark.django_db


@pytest.fixture
def at():
    at = station()
    golden(at)
    return at


@pytest.fixture
def link(at):
    return actions.set_up_link(code="PLC1", host="127.0.0.1", port=44818, station=at, actor=TESTER)


@pytest.fixture
def lease(link):
    return actions.take_lease(link=link, owner="first")


@pytest.fixture
def fence(lease):
    with actions.held_fence(lease=lease, actor=TESTER) as fence:
        yield fence


def enqueue(link, fence):
    return actions.enqueue_deliveries(dispositions=list(queries.undelivered_dispositions(link)), fence=fence)


def sent(delivery, fence):
    actions.mark_sent(delivery=delivery, fence=fence)
    return delivery


# --- setting up --------------------------------------------------------------------------------------------
def test_a_link_has_the_two_mailboxes_of_its_station(at, link):
    assert [(box.code, box.kind) for box in queries.mailboxes_of(link.pk)] == [
        (at.code, "automatic"),
        (at.hold_mailbox, "late"),
    ]
    assert queries.link_of(at) == link


def test_setting_up_again_changes_the_address_and_nothing_else(at, link, lease):
    actions.set_up_link(code="PLC1", host="10.0.0.5", port=44818, station=at, actor=TESTER)
    link.refresh_from_db()
    assert (link.host, link.lease_owner, link.fencing_number) == ("10.0.0.5", "first", 1)
    assert Mailbox.objects.count() == 2


def test_a_link_with_an_impossible_code_is_refused(at):
    with pytest.raises(ValidationError):
        actions.set_up_link(code="plc one", host="127.0.0.1", port=1, station=at, actor=TESTER)


# --- the lease ---------------------------------------------------------------------------------------------
def test_one_gateway_at_a_time_owns_a_plc(link, lease):
    assert lease.fencing_number == 1
    assert actions.take_lease(link=link, owner="second") is None


def test_a_lease_that_ended_is_taken_under_the_next_fencing_number(link, lease):
    PlcLink.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    second = actions.take_lease(link=link, owner="second")
    assert second is not None
    assert second.fencing_number == 2
    with pytest.raises(actions.LeaseLostError):
        actions.renew_lease(lease=lease)


def test_a_released_lease_is_free_at_once(link, lease):
    actions.release_lease(lease=lease)
    second = actions.take_lease(link=link, owner="second")
    assert second is not None
    actions.release_lease(lease=lease)  # the first one's second release frees nothing
    assert actions.take_lease(link=link, owner="third") is None


def test_a_gateway_that_was_replaced_writes_nothing(at, link, lease):
    decided_part(at, 0.1)
    PlcLink.objects.update(lease_owner="second", fencing_number=2)
    with pytest.raises(actions.LeaseLostError), actions.held_fence(lease=lease, actor=TESTER) as fence:
        enqueue(link, fence)
    assert Delivery.objects.count() == 0


# --- numbers -----------------------------------------------------------------------------------------------
def test_dispositions_are_numbered_in_order_and_once(at, link, fence):
    for _ in range(3):
        decided_part(at, 0.1)
    assert [row.seq for row in enqueue(link, fence)] == [1, 2, 3]
    assert enqueue(link, fence) == []
    decided_part(at, 0.9)
    assert [row.seq for row in enqueue(link, fence)] == [4]


def test_each_mailbox_counts_for_itself(at, link, fence):
    first, second = held_part(at), held_part(at)
    for part in (second, first):
        judge(part)
    assert [(row.mailbox.kind, row.seq, row.disposition.part_id) for row in enqueue(link, fence)] == [
        ("automatic", 1, first.pk),
        ("automatic", 2, second.pk),
        ("late", 1, second.pk),
        ("late", 2, first.pk),
    ]


def judge(part):
    dispose(
        part=part,
        outcome=Outcome.PASS,
        source=Source.HUMAN,
        reason=Reason.VERDICT,
        person=inspector(),
        actor=TESTER,
    )


def test_another_plcs_parts_are_left_alone(link, fence):
    elsewhere = station()
    golden(elsewhere)
    decided_part(elsewhere, 0.1)
    assert enqueue(link, fence) == []
    assert queries.undelivered_dispositions().count() == 1


@pytest.mark.parametrize("count", [1, 3])
def test_enqueueing_takes_the_same_number_of_queries_for_one_and_for_three(
    at, link, fence, count, django_assert_num_queries
):
    for _ in range(count):
        decided_part(at, 0.1)
    with django_assert_num_queries(4):  # dispositions, mailboxes, deliveries, next number
        enqueue(link, fence)


# --- endings -----------------------------------------------------------------------------------------------
def test_an_acked_delivery_is_never_answered_again(at, link, fence):
    decided_part(at, 0.1)
    (delivery,) = enqueue(link, fence)
    actions.mark_acked(delivery=sent(delivery, fence), at=timezone.now(), fence=fence)
    with pytest.raises(IllegalMove):
        actions.mark_refused(delivery=delivery, code=4, at=timezone.now(), fence=fence)
    assert Event.objects.filter(subject_kind="delivery").count() == 1


def test_a_delivery_that_was_not_sent_cannot_be_acked(at, link, fence):
    decided_part(at, 0.1)
    (delivery,) = enqueue(link, fence)
    with pytest.raises(IllegalMove):
        actions.mark_acked(delivery=delivery, at=timezone.now(), fence=fence)


@pytest.mark.parametrize(
    "lie",
    [
        {"state": "acked", "ack_code": 3, "acked_at": timezone.now(), "sent_at": timezone.now()},
        {"state": "acked", "ack_code": None, "acked_at": timezone.now(), "sent_at": timezone.now()},
        {"state": "acked", "ack_code": 1, "acked_at": None, "sent_at": timezone.now()},
        {"state": "refused", "problem": ""},
        {"state": "sent", "sent_at": None},
        {"state": "nowhere"},
        {"seq": 0},
        {"seq": 2**31},
        {"seq": None},
    ],
)
def test_the_database_refuses_what_the_rules_forbid(at, link, fence, lie):
    decided_part(at, 0.1)
    enqueue(link, fence)
    with pytest.raises(IntegrityError), transaction.atomic():
        Delivery.objects.update(**lie)


def test_two_deliveries_of_a_mailbox_are_never_on_their_way(at, link, fence):
    decided_part(at, 0.1)
    decided_part(at, 0.1)
    first, second = enqueue(link, fence)
    sent(first, fence)
    with pytest.raises(IntegrityError), transaction.atomic():
        sent(second, fence)


# --- re-synchronisation ------------------------------------------------------------------------------------
def plan(next_seq, **fields):
    return Resync(
        **{"next_seq": next_seq, "boot": 7, "resend": None, "acked_seq": None, "ack_code": 0, **fields}
    )


def test_open_deliveries_go_on_behind_the_plcs_number_in_the_same_order(at, link, fence):
    for _ in range(3):
        decided_part(at, 0.1)
    sent(enqueue(link, fence)[0], fence)
    box = Mailbox.objects.get(kind="automatic")
    actions.resynchronise(mailbox=box, plan=plan(41), at=timezone.now(), fence=fence)
    rows = Delivery.objects.order_by("disposition_id")
    assert [(row.numbering, row.seq, row.former_seqs, row.state) for row in rows] == [
        (2, 41, [1], "sent"),
        (2, 42, [2], "queued"),
        (2, 43, [3], "queued"),
    ]
    box.refresh_from_db()
    assert (box.next_seq, box.plc_boot) == (44, 7)


def test_a_restart_that_agrees_on_the_numbers_renumbers_nothing(at, link, fence):
    decided_part(at, 0.1)
    (delivery,) = enqueue(link, fence)
    box = Mailbox.objects.get(kind="automatic")
    actions.resynchronise(mailbox=box, plan=plan(1), at=timezone.now(), fence=fence)
    delivery.refresh_from_db()
    box.refresh_from_db()
    assert (delivery.seq, delivery.numbering, delivery.former_seqs, box.next_seq) == (1, 1, [], 2)


def test_a_delivery_that_proves_answered_is_ended_by_the_plan(at, link, fence):
    decided_part(at, 0.1)
    decided_part(at, 0.1)
    first, second = enqueue(link, fence)
    sent(first, fence)
    box = Mailbox.objects.get(kind="automatic")
    actions.resynchronise(mailbox=box, plan=plan(2, acked_seq=1, ack_code=4), at=timezone.now(), fence=fence)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.ack_code, second.state, second.seq) == ("refused", 4, "queued", 2)


# --- what pages ask ----------------------------------------------------------------------------------------
def test_a_link_without_a_gateway_is_down_whatever_its_row_says(link):
    PlcLink.objects.update(state="connected")
    link.refresh_from_db()
    health = queries.link_health(link, timezone.now())
    assert (health.word, health.sentence) == ("down", "No gateway runs for PLC1.")


@pytest.mark.parametrize(
    ("state", "hb_age_s", "word"),
    [
        ("connected", 0.5, "up"),
        ("connected", 5, "down"),
        ("not_answering", 0.5, "late"),
        ("resync", 0.5, "late"),
        ("disconnected", 0.5, "down"),
    ],
)
def test_the_health_word_follows_the_state_and_the_heartbeat(link, lease, state, hb_age_s, word):
    PlcLink.objects.update(state=state, plc_hb_at=timezone.now() - timedelta(seconds=hb_age_s))
    link.refresh_from_db()
    assert queries.link_health(link, timezone.now()).word == word


def test_deliveries_and_times_are_found_by_part(at, link, fence):
    part = decided_part(at, 0.1)
    (delivery,) = enqueue(link, fence)
    at_time = Disposition.objects.get().decided_at + timedelta(milliseconds=20)
    actions.mark_acked(delivery=sent(delivery, fence), at=at_time, fence=fence)
    assert list(queries.deliveries_of(part)) == [delivery]
    span = {"since": at_time, "until": at_time + timedelta(seconds=1)}
    assert queries.send_times(**span, line=at.line, kind="automatic") == [pytest.approx(20)]
    assert queries.send_times(**span, kind="late") == []
    assert len(queries.ack_times(**span)) == 1


def test_triggers_are_accounted_for_in_the_epoch_that_the_station_has_now(at, link):
    mailbox = Mailbox.objects.select_related("station__line").get(link=link, kind="automatic")
    actions.account_for_triggers(mailbox=mailbox, until=4, actor=TESTER)
    Station.objects.update(epoch=2)
    capture(station=at, epoch=2, trigger_seq=5, data=png(), actor=TESTER)

    actions.account_for_triggers(mailbox=mailbox, until=6, actor=TESTER)

    assert set(Part.objects.values_list("epoch", "trigger_seq")) == {(2, 5), (2, 6)}
