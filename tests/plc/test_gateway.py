"""The gateway against the real simulator over loopback: every disposition reaches the PLC's program once."""

import statistics
import time
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import Event
from inspection.actions import dispose, hold_or_reject
from inspection.models import Part
from inspection.states import Outcome, Reason, Source
from plc import actions, queries
from plc.gateway import Shift
from plc.gateway.outbox import POLL_S
from plc.models import Delivery, Mailbox
from plc.simulator.faults import Fault
from tests.factories import TESTER, inspector
from tests.plc.gateway_floor import (
    BAD_SCORE,
    GREY_SCORE,
    PASS_SCORE,
    QUICK,
    Floor,
    all_answered,
    states,
    turn_for,
    turn_until,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def floor():
    floor = Floor.start()
    yield floor
    floor.simulator.stop()


@pytest.fixture
def shift(floor):
    shift = floor.shift()
    yield shift
    shift.close()


def delivered(count: int):
    return lambda: len(states()) == count and all_answered()


def judge(part: Part, outcome: Outcome) -> None:
    dispose(
        part=part,
        outcome=outcome,
        source=Source.HUMAN,
        reason=Reason.VERDICT,
        person=inspector(),
        actor=TESTER,
    )


def test_pass_reject_and_hold_reach_the_plc_and_are_acked(floor, shift):
    for score in (PASS_SCORE, BAD_SCORE, GREY_SCORE):
        floor.part(score)
    turn_until(shift, delivered(3))
    assert states() == [("S", 1, "acked", 1), ("S", 2, "acked", 1), ("S", 3, "acked", 1)]
    assert [(line["result"], line["final"]) for line in floor.dispositions_seen()] == [(1, 1), (2, 1), (3, 0)]


def test_the_verdict_of_a_held_part_goes_through_the_late_mailbox_with_final_set(floor, shift):
    part = floor.part(GREY_SCORE)
    turn_until(shift, delivered(1))
    judge(part, Outcome.PASS)
    turn_until(shift, delivered(2))
    assert states() == [("S", 1, "acked", 1), ("H", 1, "acked", 1)]
    late = floor.dispositions_seen(floor.station.hold_mailbox)
    assert [(line["part_id"], line["result"], line["source"], line["final"]) for line in late] == [
        (part.plc_part_id, 1, 2, 1)
    ]


def test_a_verdict_never_overtakes_the_hold_of_its_part(floor, shift):
    held = [floor.part(GREY_SCORE) for _ in range(5)]
    for part in held:
        judge(part, Outcome.REJECT)
    turn_until(shift, delivered(10))
    assert {row.state for row in Delivery.objects.all()} == {"acked"}
    for part in held:
        told = [line["final"] for line in floor.dispositions_seen() if line["part_id"] == part.plc_part_id]
        assert told == [0, 1]


def test_a_waiting_late_mailbox_does_not_stop_the_line(floor, shift):
    part = floor.part(GREY_SCORE)
    turn_until(shift, delivered(1))
    # The late mailbox's program part answers nothing while its SeqB is wrong: a torn copy waits.
    floor.simulator.fault(Fault.SECOND_WRITE_REJECTED, count=1)
    judge(part, Outcome.PASS)
    for _ in range(5):
        floor.part(PASS_SCORE)
    turn_until(shift, delivered(7))
    assert {row.state for row in Delivery.objects.all()} == {"acked"}


def test_fifty_dispositions_arrive_in_order_and_the_plc_log_agrees(floor, shift):
    parts = [floor.part(PASS_SCORE if number % 3 else BAD_SCORE) for number in range(50)]
    turn_until(shift, delivered(50), within_s=30)
    assert [(line["seq"], line["part_id"], line["code"]) for line in floor.dispositions_seen()] == [
        (number, part.plc_part_id, 1) for number, part in enumerate(parts, start=1)
    ]
    assert list(Delivery.objects.order_by("disposition_id").values_list("seq", "state", "attempts")) == [
        (number, "acked", 1) for number in range(1, 51)
    ]


def test_a_part_the_plc_does_not_know_is_refused_shown_and_never_sent_again(floor, shift):
    floor.part(PASS_SCORE, is_sensed=False)
    floor.part(PASS_SCORE)
    turn_until(shift, delivered(2))
    assert states() == [("S", 1, "refused", 3), ("S", 2, "acked", 1)]
    turn_until(shift, lambda: link_state(floor) == "connected")
    assert len(floor.dispositions_seen()) == 2
    (refused,) = queries.refused_deliveries(floor.station.line)
    assert refused.problem == "the PLC does not know this part"
    alarms = queries.open_alarms(floor.station.line, timezone.now())
    assert [alarm.delivery for alarm in alarms] == [refused]
    actions.note_refusal_seen(delivery=refused, actor=TESTER)
    assert queries.open_alarms(floor.station.line, timezone.now()) == []


def test_a_part_id_the_plc_could_misread_is_refused_without_a_number(floor, shift):
    part = floor.part(PASS_SCORE)
    Part.objects.filter(pk=part.pk).update(plc_part_id="Prüfling")
    floor.part(PASS_SCORE)
    turn_until(shift, delivered(2))
    assert states() == [("S", None, "refused", None), ("S", 1, "acked", 1)]


def test_every_ending_of_a_delivery_is_one_audit_event(floor, shift):
    floor.part(PASS_SCORE)
    floor.part(PASS_SCORE, is_sensed=False)
    turn_until(shift, delivered(2))
    events = Event.objects.filter(subject_kind="delivery").order_by("id")
    assert [(event.before, event.after, event.details["seq"]) for event in events] == [
        ("sent", "acked", 1),
        ("sent", "refused", 2),
    ]


# --- faults ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "fault",
    [
        Fault.DROP_AFTER_WRITE,
        Fault.LOST_REPLY,
        Fault.PARTIAL_REPLY,
        Fault.WRITE_REJECTED,
        Fault.SECOND_WRITE_REJECTED,
        Fault.GARBAGE,
        Fault.DOUBLE_REPLY,
        Fault.DROP_ALL,
    ],
)
def test_a_fault_on_the_wire_loses_nothing_and_doubles_nothing(floor, shift, fault):
    floor.part(PASS_SCORE)
    turn_until(shift, delivered(1))
    for _ in range(5):
        floor.simulator.fault(fault, writes_only=True)
        floor.part(BAD_SCORE)
        turn_for(shift, 0.05)
    turn_until(shift, delivered(6), within_s=30)
    assert [(line["seq"], line["code"]) for line in floor.dispositions_seen()] == [
        (n, 1) for n in range(1, 7)
    ]


def test_a_restarted_plc_is_resynchronised_and_only_the_unanswered_is_sent_again(floor, shift):
    for _ in range(3):
        floor.part(PASS_SCORE)
    turn_until(shift, delivered(3))
    floor.simulator.fault(Fault.RESTART)
    floor.part(BAD_SCORE)
    turn_until(shift, delivered(4))
    assert [(line["seq"], line["code"]) for line in floor.dispositions_seen()] == [
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 1),
    ]
    turn_until(shift, lambda: not Mailbox.objects.exclude(plc_boot=2).exists())
    floor.link.refresh_from_db()
    assert "the PLC was restarted" in floor.link.notice
    assert any(
        alarm.sentence == floor.link.notice
        for alarm in queries.open_alarms(floor.station.line, timezone.now())
    )
    actions.reset_alarm(link=floor.link, actor=TESTER)
    turn_until(shift, lambda: link_state(floor) == "connected")
    assert queries.open_alarms(floor.station.line, timezone.now()) == []


def test_a_plc_that_lost_its_counters_is_followed_under_a_new_numbering(floor, shift):
    for _ in range(3):
        floor.part(PASS_SCORE)
    turn_until(shift, delivered(3))
    floor.simulator.fault(Fault.COUNTER_RESET)
    floor.part(BAD_SCORE)
    turn_until(shift, delivered(4))
    last = Delivery.objects.latest("id")
    assert (last.numbering, last.seq, last.former_seqs, last.state) == (2, 1, [4], "acked")


def test_a_restored_database_goes_on_behind_the_plcs_number(floor):
    """The rows of the last deliveries are gone; the PLC remembers them."""
    with_rows = floor.shift()
    for _ in range(4):
        floor.part(PASS_SCORE)
    turn_until(with_rows, delivered(4))
    with_rows.close()
    actions.release_lease(lease=with_rows.lease)
    lost = Delivery.objects.filter(seq__gte=3)
    lost_dispositions = [row.disposition_id for row in lost]
    lost.delete()
    Part.objects.filter(dispositions__in=lost_dispositions)
    Mailbox.objects.filter(kind="automatic").update(next_seq=3)
    restored = floor.shift()
    turn_until(restored, delivered(4))
    restored.close()
    again = Delivery.objects.filter(disposition__in=lost_dispositions).order_by("seq")
    assert [row.seq for row in again] == [5, 6]
    seen = [line["seq"] for line in floor.dispositions_seen()]
    assert seen == sorted(set(seen))


def test_a_plc_that_stands_still_is_down_and_comes_back(floor, shift):
    floor.part(PASS_SCORE)
    turn_until(shift, delivered(1))
    turn_until(shift, lambda: link_state(floor) == "connected")
    floor.simulator.fault(Fault.FREEZE, seconds=3.0)
    turn_until(shift, lambda: link_state(floor) == "disconnected")
    assert "heartbeat" in floor.link.alarm
    assert not queries.link_health(floor.link, timezone.now()).is_up
    turn_until(shift, lambda: link_state(floor) == "connected")
    assert floor.link.alarm == ""


def link_state(floor: Floor) -> str:
    floor.link.refresh_from_db()
    return floor.link.state


# --- gateways ----------------------------------------------------------------------------------------------
def test_a_gateway_that_vanishes_before_it_heard_the_answer_sends_nothing_twice(floor):
    first = floor.shift("first")
    floor.part(PASS_SCORE)
    turn_until(first, delivered(1))
    floor.part(BAD_SCORE)
    turn_until(first, lambda: len(floor.dispositions_seen()) == 2)  # in the PLC, not yet in the database
    assert states()[1][2] == "sent"
    let_the_lease_end(floor)  # kill -9: nothing was handed over
    second = floor.shift("second")
    floor.part(PASS_SCORE)
    turn_until(second, delivered(3))
    second.close()
    first._runner.close()
    assert [(line["seq"], line["code"]) for line in floor.dispositions_seen()] == [(1, 1), (2, 1), (3, 1)]
    assert [(row.seq, row.attempts) for row in Delivery.objects.order_by("seq")] == [(1, 1), (2, 2), (3, 1)]


def let_the_lease_end(floor: Floor) -> None:
    floor.link.refresh_from_db()
    type(floor.link).objects.filter(pk=floor.link.pk).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )


def test_only_the_gateway_with_the_lease_sends(floor, shift):
    assert actions.take_lease(link=floor.link, owner="second") is None
    let_the_lease_end(floor)
    second = floor.shift("second")
    floor.part(PASS_SCORE)
    with pytest.raises(actions.LeaseLostError):
        turn_until(shift, delivered(1))
    turn_until(second, delivered(1))
    second.close()
    assert [line["seq"] for line in floor.dispositions_seen()] == [1]
    assert Delivery.objects.get().fencing_number == 2


@pytest.mark.django_db(transaction=True)
def test_a_database_that_does_not_answer_delays_the_ack_and_loses_nothing(floor, shift):
    floor.part(PASS_SCORE)
    turn_until(shift, delivered(1))
    turn_until(shift, lambda: link_state(floor) == "connected")

    def locked(execute, sql, *rest):
        if "plc_delivery" in sql and not sql.startswith("SELECT"):
            raise OperationalError("database is locked")
        return execute(sql, *rest)

    floor.part(BAD_SCORE)
    with connection.execute_wrapper(locked):
        turn_for(shift, 0.6)
    assert states() == [("S", 1, "acked", 1)]
    turn_until(shift, delivered(2))
    assert [line["seq"] for line in floor.dispositions_seen()] == [1, 2]
    assert link_state(floor) == "connected"


@pytest.mark.django_db(transaction=True)
def test_an_ack_that_could_not_be_written_is_written_later(floor, shift):
    floor.part(PASS_SCORE)

    def locked(execute, sql, params, many, context):
        if "plc_delivery" in sql and params and "acked" in params:
            raise OperationalError("database is locked")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(locked):
        turn_for(shift, 0.6)
        assert [line["seq"] for line in floor.dispositions_seen()] == [1]
        assert states() == [("S", 1, "sent", None)]
    turn_until(shift, delivered(1))
    assert [line["seq"] for line in floor.dispositions_seen()] == [1]


# --- triggers ----------------------------------------------------------------------------------------------
def test_a_trigger_that_nobody_captured_becomes_a_part_without_image_and_is_held(floor, shift):
    floor.part(PASS_SCORE)
    turn_until(shift, lambda: Mailbox.objects.filter(trig_seq=1).exists())
    floor.trigger_seq += 1
    floor.simulator.pulse(floor.station.code, 2, f"{floor.station.code}-1-2")
    turn_until(shift, lambda: Part.objects.filter(trigger_seq=2).exists())
    hold_or_reject(part=Part.objects.get(trigger_seq=2), reason=Reason.NO_IMAGE, actor=TESTER)
    turn_until(shift, delivered(2))
    assert states()[1] == ("S", 2, "acked", 1)
    assert floor.dispositions_seen()[1]["result"] == 3


def test_a_counter_met_for_the_first_time_makes_no_parts(floor, shift):
    floor.simulator.pulse(floor.station.code, 500, "")
    turn_until(shift, lambda: Mailbox.objects.filter(trig_seq=500).exists())
    assert Part.objects.count() == 0


# --- cost --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [1, 3])
def test_an_idle_turn_asks_the_database_once(floor, shift, count):
    for _ in range(count):
        floor.part(PASS_SCORE)
    turn_until(shift, delivered(count))
    turn_until(shift, lambda: link_state(floor) == "connected")
    turn_for(shift, 0.3)
    counts = []
    for _ in range(30):
        time.sleep(POLL_S + 0.001)
        with CaptureQueriesContext(connection) as asked:
            shift.turn()
        counts.append(len(asked))
    assert statistics.mode(counts) == 1  # besides the lease and the look back, once a second


def test_a_shift_has_no_more_than_one_delivery_of_a_mailbox_on_its_way(floor):
    shift = Shift(floor.link, actions.take_lease(link=floor.link, owner="x"), timing=QUICK)
    for _ in range(3):
        floor.part(PASS_SCORE)
    turn_until(shift, lambda: len(states()) == 3)
    assert [state for _, _, state, _ in states()].count("sent") <= 1
    shift.close()
