"""A station, a real simulated PLC and a gateway shift for tests; each turn runs in the test's own thread."""

import time
from collections.abc import Callable

from plc import actions
from plc.gateway import Shift
from plc.handshake import Timing
from plc.models import Delivery, PlcLink
from plc.queries import link_of
from plc.simulator import Simulator
from plc.simulator.controller import Controller
from tests.factories import TESTER, decided_part, golden, station

QUICK = Timing(ack_s=0.3, backoff_first_s=0.05, backoff_max_s=0.2, quiet_s=0.05)
PASS_SCORE, GREY_SCORE, BAD_SCORE = 0.1, 0.5, 0.9


class Floor:
    """Station and PLC, wired."""

    def __init__(self, simulator: Controller, at, link: PlcLink) -> None:
        self.simulator = simulator
        self.station = at
        self.link = link
        self.trigger_seq = 0

    @classmethod
    def start(
        cls, driver: str = "ethernet_ip", controller: type[Controller] = Simulator, **options
    ) -> "Floor":
        at = station()
        golden(at)
        simulator = controller(stations=(f"{at.code}:{at.hold_mailbox}",), **options)
        simulator.start()
        link = actions.set_up_link(
            code="PLC1", host="127.0.0.1", port=simulator.port, station=at, actor=TESTER, driver=driver
        )
        return cls(simulator, at, link)

    def part(self, score: float, *, is_sensed: bool = True):
        """A part that was sensed by the PLC (unless told otherwise) and decided by the model."""
        self.trigger_seq += 1
        if is_sensed:
            part_id = f"{self.station.code}-{self.station.epoch}-{self.trigger_seq}"
            self.simulator.pulse(self.station.code, self.trigger_seq, part_id)
        return decided_part(self.station, score, trigger_seq=self.trigger_seq)

    def shift(self, owner: str = "test gateway", **options) -> Shift:
        link = link_of(self.station)
        lease = actions.take_lease(link=link, owner=owner)
        assert lease is not None
        return Shift(link, lease, **{"timing": QUICK, **options})

    def dispositions_seen(self, mailbox: str | None = None) -> list[dict]:
        """What the PLC's own log says it was told."""
        return [
            line
            for line in self.simulator.journal.lines
            if line["event"] == "disposition" and mailbox in (None, line["mailbox"])
        ]


def turn_until(shift: Shift, is_done: Callable[[], bool], *, within_s: float = 10.0) -> None:
    until = time.monotonic() + within_s
    while not is_done():
        assert time.monotonic() < until, "the gateway did not get there in time"
        shift.turn()
        time.sleep(shift.wait_s())


def all_answered() -> bool:
    return not Delivery.objects.filter(state__in=["queued", "sent"]).exists()


def states() -> list[tuple[str, int | None, str, int | None]]:
    rows = Delivery.objects.select_related("mailbox").order_by("disposition_id")
    return [(row.mailbox.code[0], row.seq, row.state, row.ack_code) for row in rows]


def turn_for(shift: Shift, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        shift.turn()
        time.sleep(shift.wait_s())
