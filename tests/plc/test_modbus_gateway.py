"""The real gateway drives a PLC over Modbus TCP: the same handshake, the same guarantee."""

import random
from dataclasses import replace

import pytest
from django.core.exceptions import ValidationError

from inspection.states import Outcome
from plc import actions
from plc.drivers.modbus import ModbusDriver
from plc.models import Delivery, Driver
from plc.queries import link_of
from plc.simulator.faults import Fault
from plc.simulator.modbus import ModbusSimulator
from tests.factories import TESTER
from tests.plc.gateway_floor import (
    BAD_SCORE,
    GREY_SCORE,
    PASS_SCORE,
    QUICK,
    Floor,
    states,
    turn_for,
    turn_until,
)
from tests.plc.test_gateway import delivered, judge

pytestmark = pytest.mark.django_db

SEED = 20_26
QUICKER = replace(QUICK, backoff_first_s=0.01, backoff_max_s=0.05)
DISPOSITIONS, FAULTS = 210, 63
ON_THE_WIRE = (
    Fault.DROP_AFTER_WRITE,
    Fault.LOST_REPLY,
    Fault.PARTIAL_REPLY,
    Fault.WRITE_REJECTED,
    Fault.GARBAGE,
    Fault.DOUBLE_REPLY,
    Fault.SLOW_REPLY,
    Fault.STALL,
    Fault.DROP_ALL,
    Fault.NO_SESSION,
)


@pytest.fixture
def floor():
    floor = Floor.start(driver=Driver.MODBUS, controller=ModbusSimulator, gate_s=600)
    yield floor
    floor.simulator.stop()


@pytest.fixture
def shift(floor):
    shift = floor.shift(new_driver=lambda: quick_driver(floor), timing=QUICKER)
    yield shift
    shift.close()


def quick_driver(floor):
    boxes = (floor.station.code, floor.station.hold_mailbox)
    return ModbusDriver("127.0.0.1", floor.simulator.port, boxes, timeout_s=0.06)


def test_the_link_says_which_driver_and_its_dispositions_reach_the_plc(floor):
    shift = floor.shift()
    held = [floor.part(score) for score in (PASS_SCORE, BAD_SCORE, GREY_SCORE)][2]
    turn_until(shift, delivered(3))
    judge(held, Outcome.PASS)
    turn_until(shift, delivered(4))
    shift.close()
    assert states() == [
        ("S", 1, "acked", 1),
        ("S", 2, "acked", 1),
        ("S", 3, "acked", 1),
        ("H", 1, "acked", 1),
    ]
    assert [(line["result"], line["final"], line["code"]) for line in floor.dispositions_seen()] == [
        (1, 1, 1),
        (2, 1, 1),
        (3, 0, 1),
        (1, 1, 1),
    ]


def test_a_part_the_plc_does_not_know_is_refused_and_never_sent_again(floor, shift):
    floor.part(PASS_SCORE, is_sensed=False)
    floor.part(PASS_SCORE)
    turn_until(shift, delivered(2))
    assert states() == [("S", 1, "refused", 3), ("S", 2, "acked", 1)]


@pytest.mark.parametrize("fault", [Fault.RESTART, Fault.COUNTER_RESET])
def test_a_restarted_plc_is_resynchronised_and_nothing_is_applied_twice(floor, shift, fault):
    for _ in range(3):
        floor.part(PASS_SCORE)
    turn_until(shift, delivered(3))
    floor.simulator.fault(fault)
    floor.part(BAD_SCORE)
    turn_until(shift, delivered(4))
    applied = [line["part_id"] for line in floor.dispositions_seen() if line["code"] == 1]
    assert len(applied) == len(set(applied)) == 4


def test_options_of_another_protocol_are_refused_when_the_link_is_set_up(floor):
    with pytest.raises(ValidationError, match="word_order is 'big' or 'little'"):
        actions.set_up_link(
            code="PLC1",
            host="127.0.0.1",
            port=502,
            station=floor.station,
            actor=TESTER,
            driver=Driver.MODBUS,
            options={"word_order": "middle"},
        )
    assert link_of(floor.station).options == {}


def test_a_wrong_word_order_passes_no_part(floor):
    actions.set_up_link(
        code="PLC1",
        host="127.0.0.1",
        port=floor.simulator.port,
        station=floor.station,
        actor=TESTER,
        driver=Driver.MODBUS,
        options={"word_order": "little"},
    )
    shift = floor.shift()
    floor.part(PASS_SCORE)
    turn_for(shift, 0.5)
    shift.close()
    assert [line["code"] for line in floor.dispositions_seen()] == [6]
    assert not Delivery.objects.filter(state="acked").exists()


def test_two_hundred_dispositions_under_sixty_faults_are_applied_once_and_in_order(floor, shift):
    chance = random.Random(SEED)
    at = set(chance.sample(range(5, DISPOSITIONS - 5), FAULTS))
    for number in range(DISPOSITIONS):
        floor.part(PASS_SCORE if number % 3 else BAD_SCORE)
        if number in at:
            fault = chance.choice(ON_THE_WIRE)
            floor.simulator.fault(fault, seconds=0.1, writes_only=fault is not Fault.NO_SESSION)
            if fault is Fault.NO_SESSION:
                floor.simulator.fault(Fault.DROP_ALL)
        turn_for(shift, 0.004)
    acked = Delivery.objects.filter(state="acked")
    turn_until(shift, lambda: acked.count() == DISPOSITIONS, within_s=60)

    assert floor.simulator.faults.taken >= 60
    seen = floor.dispositions_seen()
    assert [(line["seq"], line["code"]) for line in seen] == [(n, 1) for n in range(1, DISPOSITIONS + 1)]
    assert [line["trig_seq"] for line in seen] == list(range(1, DISPOSITIONS + 1))
    assert Delivery.objects.filter(attempts__gt=1).exists()
