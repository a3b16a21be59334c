"""The handshake as a specification: what one mailbox may do, and what it must never do."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plc.handshake import (
    ACK_SENTENCES,
    MAX_DINT,
    TRANSITIONS,
    AckCode,
    Acked,
    Alarm,
    Disposition,
    HeartbeatWatch,
    IllegalInputError,
    Input,
    LinkDown,
    LinkUp,
    Mailbox,
    NewDriver,
    Read,
    Refused,
    Result,
    Resync,
    ResyncNeeded,
    Source,
    State,
    Status,
    Timing,
    TriggerJumpError,
    WaitUntil,
    WritePayload,
    WriteSeq,
    missed_triggers,
    next_trigger,
    validate_part_id,
)

QUIET = Status(disp_seq=6, ack_seq=6, ack_code=1, ack_part_id="P-6", plc_hb=1, plc_boot=3)


def row(seq=7, part_id="P-7", result=Result.PASS, **fields):
    return Disposition(
        seq=seq, part_id=part_id, trig_seq=seq, result=result, source=Source.MODEL, final=True, **fields
    )


def acked(seq=7, part_id="P-7", code=1, **fields):
    return replace(QUIET, disp_seq=seq, ack_seq=seq, ack_part_id=part_id, ack_code=code, **fields)


def mailbox(**fields):
    return Mailbox("S01", **{"next_seq": 7, "boot": 3, **fields})


def waiting_for_ack(item=None):
    """A mailbox that has written row 7 at t=0."""
    box = mailbox()
    box.offer(item or row(), 0.0)
    box.received(QUIET, 0.0)
    box.written(0.0)
    box.written(0.0)
    return box


# The ordinary way


def test_a_row_is_read_written_numbered_and_acknowledged_in_this_order():
    box = mailbox()
    item = row()

    assert box.next_request(0.0) == WaitUntil(math.inf)
    box.offer(item, 0.0)
    assert box.next_request(0.0) == Read()
    assert box.received(QUIET, 0.0) == []
    assert box.next_request(0.0) == WritePayload(item)
    assert box.written(0.0) == []
    assert box.next_request(0.0) == WriteSeq(7)
    assert box.written(0.0) == []
    assert box.next_request(0.0) == WaitUntil(Timing().poll_s)
    assert box.next_request(Timing().poll_s) == Read()
    assert box.received(acked(), 0.01) == [Acked("S01", 7, 1, "P-7", 0.01)]
    assert box.state is State.IDLE
    assert box.item is None


def test_the_payload_embraces_the_row_with_its_number():
    payload = row(confidence=0.25, reason=4, model_version=12).payload()

    assert payload == {
        "SeqA": 7,
        "PartId": "P-7",
        "TrigSeq": 7,
        "Result": 1,
        "Reason": 4,
        "Confidence": 0.25,
        "Source": 1,
        "Final": 1,
        "ModelVer": 12,
        "SeqB": 7,
    }


def test_a_successful_write_is_not_an_acknowledgement():
    box = waiting_for_ack()

    assert box.received(replace(QUIET, disp_seq=7), 0.01) == []
    assert box.state is State.WAIT_ACK
    assert box.item == row()


def test_a_row_that_was_answered_before_we_asked_is_done_without_a_write():
    box = mailbox()
    box.offer(row(), 0.0)

    assert box.received(acked(), 0.0) == [Acked("S01", 7, 1, "P-7", 0.0)]


def test_a_second_row_is_not_taken_while_one_is_in_flight():
    box = waiting_for_ack()

    with pytest.raises(IllegalInputError, match="takes no new row"):
        box.offer(row(8, "P-8"), 0.0)


@pytest.mark.parametrize("seq", [1, 6, 8, 100])
def test_a_number_is_never_skipped_or_used_twice(seq):
    with pytest.raises(IllegalInputError, match="expects number 7"):
        mailbox().offer(row(seq), 0.0)


@pytest.mark.parametrize("code", [3, 4, 5, 6, 7, 8, 99])
def test_any_other_answer_is_shown_and_never_retried(code):
    box = waiting_for_ack()

    (event,) = box.received(acked(code=code), 0.01)

    assert event == Refused("S01", 7, code, "P-7", 0.01)
    assert event.text
    assert box.state is State.IDLE
    assert box.next_request(0.02) == WaitUntil(math.inf)
    box.offer(row(8, "P-8"), 1.0)
    assert box.next_request(1.0) == Read()


def test_every_answer_of_the_plc_has_a_sentence():
    assert set(ACK_SENTENCES) == set(AckCode)


# When something fails


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_any_error_means_a_new_driver_a_pause_and_the_same_row_from_the_reading_on(steps):
    box = mailbox()
    item = row()
    box.offer(item, 0.0)
    for step in [lambda: box.received(QUIET, 0.0), lambda: box.written(0.0), lambda: box.written(0.0)][
        :steps
    ]:
        step()

    (alarm,) = box.failed("the cable is out", 1.0)

    assert isinstance(alarm, Alarm)
    assert "the cable is out" in alarm.text
    assert box.next_request(1.0) == NewDriver()
    box.dropped(1.0)
    assert box.next_request(1.0) == WaitUntil(1.5)
    box.passed(1.5)
    assert box.next_request(1.5) == Read()
    box.received(QUIET, 1.5)
    assert box.next_request(1.5) == WritePayload(item)


def test_no_answer_within_one_second_means_a_new_driver_and_the_same_number():
    box = waiting_for_ack()

    assert box.passed(0.99) == []
    (alarm,) = box.passed(1.0)
    assert "no answer within 1 s" in alarm.text
    assert box.next_request(1.0) == NewDriver()
    box.dropped(1.0)
    box.passed(1.5)
    box.received(replace(QUIET, disp_seq=7), 1.5)
    assert box.next_request(1.5) == WritePayload(row())
    box.written(1.5)
    assert box.next_request(1.5) == WriteSeq(7)


def test_the_pauses_double_from_half_a_second_to_thirty():
    pauses = [Timing().backoff_s(failures) for failures in range(1, 10)]

    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert Timing().backoff_s(10**6) == 30


def test_an_acknowledgement_ends_the_growing_of_the_pauses():
    box = mailbox()
    now = 0.0
    box.offer(row(), now)
    for pause in (0.5, 1.0, 2.0):
        box.failed("no", now)
        box.dropped(now)
        assert box.next_request(now) == WaitUntil(now + pause)
        now += pause
        box.passed(now)
    box.received(acked(), now)
    box.offer(row(8, "P-8"), now)
    box.failed("no", now)
    box.dropped(now)

    assert box.next_request(now) == WaitUntil(now + 0.5)


def test_an_answer_that_comes_during_the_pause_is_taken():
    box = waiting_for_ack()
    box.passed(1.0)

    assert box.received(acked(), 1.1) == [Acked("S01", 7, 1, "P-7", 1.1)]
    assert box.next_request(1.1) == WaitUntil(math.inf)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_driver_dropped_for_the_other_mailbox_costs_no_pause_but_a_new_reading(steps):
    box = mailbox()
    box.offer(row(), 0.0)
    for step in [lambda: box.received(QUIET, 0.0), lambda: box.written(0.0)][:steps]:
        step()

    box.dropped(0.1)

    assert box.next_request(0.1) == Read()
    assert box.failures == 0


def test_a_driver_dropped_while_the_answer_is_awaited_changes_nothing():
    box = waiting_for_ack()

    box.dropped(0.1)

    assert box.next_request(0.1) == Read()
    assert box.received(acked(), 0.1) == [Acked("S01", 7, 1, "P-7", 0.1)]


def test_asking_twice_for_the_next_request_changes_nothing():
    box = waiting_for_ack()

    assert box.next_request(0.001) == box.next_request(0.001)
    assert box.next_request(5.0) == Read()  # overdue shows only when time is told by `passed`
    assert box.state is State.WAIT_ACK


# Disagreement


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (replace(QUIET, plc_boot=4), "restarted"),
        (acked(plc_boot=4), "restarted"),
        (replace(QUIET, ack_seq=5), "above"),
        (replace(QUIET, ack_seq=0), "above"),
        (replace(QUIET, ack_seq=8), "below"),
        (acked(part_id="P-OTHER"), "another part"),
    ],
)
def test_a_restarted_plc_or_a_foreign_number_stops_the_mailbox_with_an_alarm(status, reason):
    box = mailbox()
    box.offer(row(), 0.0)

    events = box.received(status, 0.0)

    assert [type(event) for event in events] == [ResyncNeeded, Alarm]
    assert reason in events[0].reason
    assert box.state is State.RESYNC
    assert box.next_request(0.0) == WaitUntil(Timing().poll_s)
    with pytest.raises(IllegalInputError):
        box.offer(row(), 0.0)


def test_an_idle_mailbox_notices_a_restart_too():
    box = mailbox()

    events = box.received(replace(QUIET, plc_boot=4), 0.0)

    assert isinstance(events[0], ResyncNeeded)


def test_a_plc_never_seen_before_is_taken_as_it_is():
    box = mailbox(boot=None)

    assert box.received(QUIET, 0.0) == []
    assert box.boot == 3


def test_the_plan_waits_until_the_plc_has_been_quiet():
    box = waiting_for_ack()
    box.received(replace(QUIET, plc_boot=4, disp_seq=7), 0.1)
    box.received(acked(plc_boot=4), 0.3)  # the program went on and answered after all

    assert isinstance(box.next_request(0.54), Read)
    assert isinstance(box.next_request(0.55), Resync)


def test_a_row_answered_across_a_restart_is_not_sent_again():
    box = waiting_for_ack()
    box.received(acked(plc_boot=4), 0.1)

    plan = box.next_request(1.0)

    assert plan == Resync(next_seq=8, boot=4, resend=None, acked_seq=7, ack_code=1)
    assert box.resynced(plan, 1.0) == [Acked("S01", 7, 1, "P-7", 1.0)]
    box.offer(row(8, "P-8"), 1.0)
    assert box.received(acked(plc_boot=4), 1.0) == []
    assert box.next_request(1.0) == WritePayload(row(8, "P-8"))


def test_a_row_refused_across_a_restart_is_reported_as_refused():
    box = waiting_for_ack()
    box.received(acked(plc_boot=4, code=4), 0.1)

    assert box.resynced(box.next_request(1.0), 1.0) == [Refused("S01", 7, 4, "P-7", 1.0)]


def test_a_row_not_answered_before_a_restart_keeps_its_number():
    box = waiting_for_ack()
    box.received(replace(QUIET, plc_boot=4), 0.1)

    plan = box.next_request(1.0)

    assert plan == Resync(next_seq=7, boot=4, resend=row(), acked_seq=None, ack_code=1)
    assert box.resynced(plan, 1.0) == []
    assert box.next_request(1.0) == Read()


def test_a_plc_that_lost_its_memory_gets_only_the_unacknowledged_row_under_the_next_number():
    box = waiting_for_ack()
    box.received(Status(0, 0, 0, "", 1, 4), 0.1)

    plan = box.next_request(1.0)
    box.resynced(plan, 1.0)

    assert plan.next_seq == 1
    assert box.item == replace(row(), seq=1, former_seqs=(7,))
    assert box.received(Status(0, 0, 0, "", 1, 4), 1.0) == []
    assert box.next_request(1.0) == WritePayload(box.item)


def test_a_restored_database_goes_on_after_the_plcs_last_number():
    box = mailbox()
    box.received(acked(seq=150, part_id="P-150"), 0.0)

    plan = box.next_request(1.0)
    assert plan == Resync(next_seq=151, boot=3, resend=None, acked_seq=None, ack_code=1)
    box.resynced(plan, 1.0)
    box.offer(row(151, "P-151"), 1.0)
    assert box.next_request(1.0) == Read()


def test_a_row_answered_under_its_former_number_counts_as_answered():
    box = waiting_for_ack()
    box.received(Status(0, 0, 0, "", 1, 4), 0.1)
    box.resynced(box.next_request(1.0), 1.0)

    box.received(acked(plc_boot=4), 1.1)  # the PLC had taken number 7 after all

    plan = box.next_request(2.0)
    assert plan == Resync(next_seq=8, boot=4, resend=None, acked_seq=7, ack_code=1)
    assert box.resynced(plan, 2.0) == [Acked("S01", 7, 1, "P-7", 2.0)]


def test_failures_while_stopped_start_the_quiet_time_again():
    box = waiting_for_ack()
    box.received(replace(QUIET, plc_boot=4), 0.1)
    box.failed("the cable is out", 0.2)

    assert box.next_request(9.0) == Read()
    box.received(replace(QUIET, plc_boot=4), 9.0)
    assert not isinstance(box.next_request(9.1), Resync)
    assert isinstance(box.next_request(9.25), Resync)


def test_nothing_is_renumbered_without_a_disagreement():
    with pytest.raises(IllegalInputError):
        mailbox().plan()
    with pytest.raises(IllegalInputError):
        mailbox().resynced(Resync(1, 1, None, None, 0), 0.0)


# The table


def test_the_table_knows_every_state_and_leads_only_to_known_states():
    assert set(TRANSITIONS) == set(State)
    assert {after for row_ in TRANSITIONS.values() for after in row_.values()} == set(State)


@pytest.mark.parametrize("state", State)
def test_every_state_bears_a_reading_a_failure_and_a_dropped_driver(state):
    assert {Input.UNSEEN, Input.INCONSISTENT, Input.FAILED, Input.DROPPED} <= set(TRANSITIONS[state])


@pytest.mark.parametrize("state", [state for state in State if state is not State.CHECK])
def test_only_a_fresh_reading_leads_to_a_payload(state):
    assert State.WRITE_PAYLOAD not in set(TRANSITIONS[state].values()) - {state}


def test_only_a_written_payload_leads_to_a_number():
    ways = {
        (s, i) for s, row_ in TRANSITIONS.items() for i, after in row_.items() if after is State.WRITE_SEQ
    }

    assert ways == {(State.WRITE_PAYLOAD, Input.WRITTEN), (State.WRITE_SEQ, Input.UNSEEN)}


def test_a_write_nobody_asked_for_is_a_mistake():
    with pytest.raises(IllegalInputError, match="WRITTEN is not possible in IDLE"):
        mailbox().written(0.0)


# What may be sent at all


@pytest.mark.parametrize("part_id", ["P", "A" * 32, "SN 0042/7-b", "~!@#$%^&*()"])
def test_printable_ascii_up_to_32_characters_is_a_part_id(part_id):
    assert validate_part_id(part_id) == part_id


@pytest.mark.parametrize(
    "part_id", ["", "A" * 33, "A" * 100, "Teil-ä", "tab\there", "nul\0", "\x7f", "日本", None, 7]
)
def test_anything_else_is_refused_as_a_part_id_with_a_sentence(part_id):
    with pytest.raises(ValueError, match="part id"):
        validate_part_id(part_id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seq": 0},
        {"seq": -1},
        {"seq": MAX_DINT + 1},
        {"result": 0},
        {"result": 4},
        {"source": 0},
        {"trig_seq": -1},
        {"trig_seq": 2**31},
        {"reason": 2**31},
        {"model_version": -1},
        {"confidence": math.nan},
        {"confidence": math.inf},
        {"confidence": 1e39},
        {"part_id": "Ä"},
    ],
)
def test_a_row_the_plc_could_misread_cannot_be_made(wrong):
    good = {
        "seq": 1,
        "part_id": "P",
        "trig_seq": 1,
        "result": Result.HOLD,
        "source": Source.MODEL,
        "final": False,
    }

    with pytest.raises(ValueError):
        Disposition(**{**good, **wrong})


def test_the_numbers_of_the_handshake_are_fixed():
    assert [(r.name, r.value) for r in Result] == [("PASS", 1), ("REJECT", 2), ("HOLD", 3)]
    assert [s.value for s in Source] == [1, 2, 3, 4]
    assert [c.value for c in AckCode] == [1, 3, 4, 5, 6, 7, 8]


# Heartbeat


def test_a_heartbeat_that_stands_still_for_two_seconds_means_the_link_is_down():
    watch = HeartbeatWatch()

    assert watch.seen(5, 0.0) == []  # one value proves nothing
    assert not watch.is_up
    assert watch.seen(6, 0.5) == [LinkUp(0.5)]
    assert watch.seen(6, 2.5) == []
    (event,) = watch.seen(6, 2.51)
    assert isinstance(event, LinkDown)
    assert not watch.is_up
    assert watch.seen(6, 9.0) == []
    assert watch.seen(7, 9.5) == [LinkUp(9.5)]


def test_a_link_without_readings_goes_down_too():
    watch = HeartbeatWatch()
    watch.seen(5, 0.0)
    watch.seen(6, 0.5)

    assert watch.passed(2.5) == []
    assert isinstance(watch.passed(2.6)[0], LinkDown)


def test_a_heartbeat_that_counts_backwards_is_alive():
    watch = HeartbeatWatch()
    watch.seen(MAX_DINT, 0.0)

    assert watch.seen(1, 0.1) == [LinkUp(0.1)]


# Trigger accounting


@pytest.mark.parametrize(
    ("captured", "since", "until", "missed"),
    [
        ([1, 2, 3], 0, 3, []),
        ([1, 3], 0, 3, [2]),
        ([], 0, 2, [1, 2]),
        ([5], 5, 5, []),
        ([6], 5, 8, [7, 8]),
        ([1], MAX_DINT - 1, 2, [MAX_DINT, 2]),
        ([], MAX_DINT, 1, [1]),
    ],
)
def test_a_gap_in_the_trigger_counter_names_the_missed_parts(captured, since, until, missed):
    assert missed_triggers(captured, since=since, until=until) == missed


@given(
    since=st.integers(0, MAX_DINT),
    count=st.integers(0, 300),
    lost=st.sets(st.integers(0, 299)),
)
def test_the_plcs_counter_equals_captured_plus_missed(since, count, lost):
    numbers, number = [], since
    for _ in range(count):
        number = next_trigger(number)
        numbers.append(number)
    captured = [n for i, n in enumerate(numbers) if i not in lost]

    missed = missed_triggers(captured, since=since, until=number)

    assert len(captured) + len(missed) == count
    assert sorted(captured + missed) == sorted(numbers)


@pytest.mark.parametrize(("since", "until"), [(0, 1001), (5000, 3), (10, 9)])
def test_a_counter_that_jumps_is_not_taken_for_a_gap(since, until):
    with pytest.raises(TriggerJumpError, match="jumped"):
        missed_triggers([], since=since, until=until)
