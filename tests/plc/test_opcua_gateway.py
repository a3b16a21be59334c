"""The real gateway against the simulated OPC UA PLC: every disposition reaches its program once and in order."""

import io
import random
import statistics
import time

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from audit.models import Event
from inspection.actions import dispose
from inspection.states import Outcome, Reason, Source
from plc import actions
from plc.drivers.opcua_keys import KeyFolder, fingerprint
from plc.models import Delivery
from plc.simulator.faults import Fault
from plc.simulator.opcua import OpcUaSimulator
from tests.factories import TESTER, golden, inspector, station
from tests.plc.gateway_floor import (
    BAD_SCORE,
    GREY_SCORE,
    PASS_SCORE,
    Floor,
    all_answered,
    states,
    turn_for,
    turn_until,
)
from tests.plc.opcua_plant import trusting_keys

pytestmark = pytest.mark.django_db

WIRE_FAULTS = (
    Fault.DROP_AFTER_WRITE,
    Fault.LOST_REPLY,
    Fault.STALL,
    Fault.PARTIAL_REPLY,
    Fault.WRITE_REJECTED,
    Fault.SECOND_WRITE_REJECTED,
    Fault.SLOW_REPLY,
    Fault.DOUBLE_REPLY,
    Fault.GARBAGE,
    Fault.NO_SESSION,
    Fault.DROP_ALL,
    Fault.DOWNLOAD,
    Fault.RESTART,
)


@pytest.fixture
def floor():
    at = station()
    golden(at)
    mailboxes = (f"{at.code}:{at.hold_mailbox}",)
    with OpcUaSimulator(stations=mailboxes, gate_s=120, hold_capacity=500) as simulator:
        trusting_keys(settings.DATA_DIR / "opcua", simulator)
        link = actions.set_up_link(
            code="PLC1",
            host="127.0.0.1",
            port=simulator.port,
            station=at,
            actor=TESTER,
            driver="opcua",
            options={"timeout_s": 0.3},
        )
        yield Floor(simulator, at, link)


@pytest.fixture
def shift(floor):
    shift = floor.shift()
    yield shift
    shift.close()


def answered(count: int):
    return lambda: len(states()) == count and all_answered()


def judge(part, outcome: Outcome) -> None:
    dispose(
        part=part,
        outcome=outcome,
        source=Source.HUMAN,
        reason=Reason.VERDICT,
        person=inspector(),
        actor=TESTER,
    )


def test_pass_reject_hold_and_a_late_verdict_reach_the_plc_and_are_acked(floor, shift):
    for score in (PASS_SCORE, BAD_SCORE):
        floor.part(score)
    held = floor.part(GREY_SCORE)
    turn_until(shift, answered(3))
    judge(held, Outcome.PASS)
    turn_until(shift, answered(4))

    assert states() == [
        ("S", 1, "acked", 1),
        ("S", 2, "acked", 1),
        ("S", 3, "acked", 1),
        ("H", 1, "acked", 1),
    ]
    seen = [(line["part_id"], line["result"], line["final"]) for line in floor.dispositions_seen()]
    assert [result for _, result, _ in seen] == [1, 2, 3, 1]
    assert seen[-1] == (held.plc_part_id, 1, 1)


def test_an_untrusted_plc_is_an_alarm_that_says_what_to_do(floor):
    (settings.DATA_DIR / "opcua" / "trusted").rename(settings.DATA_DIR / "opcua" / "set-aside")
    try:
        shift = floor.shift()
        turn_until(shift, lambda: shift.link.state == "disconnected" and "not trusted" in shift._alarm)
        shift.close()
    finally:
        (settings.DATA_DIR / "opcua" / "set-aside").rename(settings.DATA_DIR / "opcua" / "trusted")
    certificate = floor.simulator.own_keys.certificate
    assert KeyFolder(settings.DATA_DIR / "opcua").trusts(certificate)


def test_a_hundred_dispositions_under_thirty_faults_are_applied_exactly_once_and_in_order(floor, shift):
    chance = random.Random(20261121)
    parts, told = [], []
    for number in range(1, 106):
        if number % 3 == 0:
            fault = WIRE_FAULTS[(number // 3) % len(WIRE_FAULTS)]
            floor.simulator.fault(fault, seconds=0.4, writes_only=chance.random() < 0.7)
        score = chance.choice((PASS_SCORE, BAD_SCORE, GREY_SCORE))
        part = floor.part(score)
        parts.append(part)
        told.append({PASS_SCORE: 1, BAD_SCORE: 2, GREY_SCORE: 3}[score])
        if chance.random() < 0.4:
            turn_for(shift, chance.uniform(0.0, 0.05))
    turn_until(shift, answered(105), within_s=60)

    assert floor.simulator.faults.taken >= 30
    seen = floor.dispositions_seen()
    assert [(line["part_id"], line["result"], line["code"]) for line in seen] == [
        (part.plc_part_id, result, 1) for part, result in zip(parts, told, strict=True)
    ]
    assert [line["seq"] for line in seen] == list(range(1, 106))
    assert {row.state for row in Delivery.objects.all()} == {"acked"}


def test_a_person_stores_the_password_and_trusts_the_plc_by_its_fingerprint(floor, monkeypatch, capsys):
    keys = KeyFolder(settings.DATA_DIR / "opcua")
    certificate = floor.simulator.own_keys.certificate
    (keys.folder / "trusted" / f"{fingerprint(certificate)}.der").unlink()
    monkeypatch.setattr("sys.stdin", io.StringIO("another\n"))

    call_command("trust_opcua", "PLC1", "--password")
    assert keys.password("secondlook") == "another"
    assert "It is not trusted." in capsys.readouterr().out

    with pytest.raises(CommandError, match="another certificate"):
        call_command("trust_opcua", "PLC1", "--sha256", "00" * 32)
    assert not keys.trusts(certificate)

    call_command("trust_opcua", "PLC1", "--sha256", fingerprint(certificate).upper())
    assert "It is trusted." in capsys.readouterr().out
    assert keys.trusts(certificate)
    told = Event.objects.filter(subject_kind="plclink").values_list("verb", flat=True)
    assert [verb for verb in told if verb in ("password_stored", "certificate_trusted")] == [
        "password_stored",
        "certificate_trusted",
    ]


def test_a_plc_that_lost_its_counters_is_followed_under_a_new_numbering(floor, shift):
    for _ in range(3):
        floor.part(PASS_SCORE)
    turn_until(shift, answered(3))
    floor.simulator.fault(Fault.COUNTER_RESET)
    floor.part(BAD_SCORE)
    turn_until(shift, answered(4))

    last = Delivery.objects.latest("id")
    assert (last.numbering, last.seq, last.former_seqs, last.state) == (2, 1, [4], "acked")


def test_a_round_trip_takes_some_scans_and_not_a_second(floor, shift):
    floor.part(PASS_SCORE)
    turn_until(shift, answered(1))
    times = []
    for count in range(2, 22):
        floor.part(PASS_SCORE)
        began = time.monotonic()
        turn_until(shift, answered(count))
        times.append(time.monotonic() - began)

    assert statistics.median(times) < 0.2  # a shared machine; the figures are in docs/operation/plc.md
