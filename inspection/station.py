"""One station's camera: at each takt a trigger, a capture, a commit and a ring."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.db import OperationalError, connection

from audit.actor import Actor
from inspection import actions
from inspection.models import Station
from inspection.queries import next_trigger_seq
from vision.folder import FolderImage

_log = logging.getLogger(__name__)

# Called at the moment of the trigger with its number and PartId, before anything else hears of it: the light barrier's
# wire to the PLC, the truth log.
AtTrigger = Callable[[int, str, FolderImage], None]


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder played as a camera: the same seed and trigger number give the same image, also after a restart."""

    images: list[FolderImage]
    seed: int

    def frame(self, trigger_seq: int) -> FolderImage:
        turn, place = divmod(trigger_seq - 1, len(self.images))
        order = list(range(len(self.images)))
        random.Random(self.seed * 1_000_003 + turn).shuffle(order)  # noqa: S311 - an order, not a secret
        return self.images[order[place]]


def play(
    *,
    station: Station,
    source: FolderSource,
    rate_per_s: float,
    until_seq: int | None,
    at_trigger: AtTrigger,
    stop: threading.Event,
    actor: Actor,
) -> int:
    """Trigger and capture at the takt until `until_seq` (or for ever); returns how many parts were captured.

    A takt that the machine could not keep is late, never skipped: every part that comes is inspected.
    """
    captured = 0
    for trigger_seq in _takts(station, rate_per_s, until_seq, stop):
        image = source.frame(trigger_seq)
        if _capture(station, trigger_seq, image, at_trigger, actor):
            captured += 1
    return captured


def _takts(
    station: Station, rate_per_s: float, until_seq: int | None, stop: threading.Event
) -> Iterator[int]:
    trigger_seq = next_trigger_seq(station)
    due = time.monotonic()
    while until_seq is None or trigger_seq <= until_seq:
        if stop.wait(max(0.0, due - time.monotonic())):
            return
        yield trigger_seq
        trigger_seq += 1
        due = max(due + 1 / rate_per_s, time.monotonic() - 1.0)


def _capture(
    station: Station, trigger_seq: int, image: FolderImage, at_trigger: AtTrigger, actor: Actor
) -> bool:
    """One part. The image is in hand before anything can fail, so it is offered until the ledger takes it."""
    data = Path(image.path).read_bytes()
    # The group alone: a file name would tell the inspectors what the folder knows.
    metadata = {"group": image.group}
    has_pulsed = False
    for attempt in range(1, 31):
        try:
            if not has_pulsed:
                station.refresh_from_db(fields=["epoch"])  # somebody may have counted it on meanwhile
                at_trigger(trigger_seq, actions.part_id_of(station, station.epoch, trigger_seq), image)
                has_pulsed = True
            actions.trigger(station=station, trigger_seq=trigger_seq, metadata=metadata, actor=actor)
            actions.capture(station=station, trigger_seq=trigger_seq, data=data, actor=actor)
        except (OperationalError, OSError) as problem:
            _log.warning("trigger %s, attempt %s: %s", trigger_seq, attempt, problem)
            connection.close()
            time.sleep(min(0.1 * 2**attempt, 2.0))
        else:
            return True
    _log.error("trigger %s has no image: the sweeper holds or rejects the part", trigger_seq)
    return False
