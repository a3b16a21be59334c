"""A trigger makes a part, a capture gives it its image, the doorbell calls the inspect worker."""

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from audit.actor import Actor
from audit.durability import carried_commit
from audit.transitions import move, record
from inspection import pixels, storage
from inspection.actions.decisions import hold_or_reject
from inspection.doorbell import ring_after_commit, ring_pixels
from inspection.models import Image, Part, Station
from inspection.queries import next_trigger_seq
from inspection.states import PartState, Reason
from vision.images import ImageError, decode

MOST_MISSED_TRIGGERS = 1000
READ_UNDER_LOCK = ("state", "version", "serial", "metadata")
_writers = ThreadPoolExecutor(2, thread_name_prefix="write")
_log = logging.getLogger(__name__)


class DifferentImageError(Exception):
    """This trigger and view have another image already."""


class UnknownViewError(ValueError):
    """The station has no such view."""


class TriggerGapError(Exception):
    """The trigger counter jumped further than missed parts can explain."""


@dataclass(frozen=True, slots=True)
class Capture:
    part: Part
    image: Image
    is_new: bool


def part_id_of(station: Station, epoch: int, trigger_seq: int) -> str:
    """The PartId that the PLC knows: readable, unique, at most 32 printable ASCII characters."""
    return f"{station.code}-{epoch}-{trigger_seq}"


def trigger(
    *,
    station: Station,
    trigger_seq: int,
    actor: Actor,
    epoch: int | None = None,
    serial: str = "",
    metadata: dict[str, Any] | None = None,
) -> Part:
    """Make the part of this trigger, or return it if it is there.

    Triggers that were jumped over make parts too: if their image does not come, they are held or rejected with
    the reason "no image" (trigger counter = captured + missed).

    Raises TriggerGapError if more than 1000 triggers are missing: then the counter was reset, use a new epoch.
    """
    epoch = station.epoch if epoch is None else epoch
    triggered_at = timezone.now()
    for is_last_try in (False, True):
        found = Part.objects.filter(station=station, epoch=epoch, trigger_seq=trigger_seq).first()
        if found:
            return found
        try:
            # The capture's own commit, or the PLC's counter after a power cut, brings it back.
            with carried_commit():
                _make_missed_parts(station, epoch, trigger_seq, triggered_at, actor)
                return _make_part(station, epoch, trigger_seq, triggered_at, actor, serial, metadata or {})
        except IntegrityError:
            # Somebody else heard of this trigger, or of one that was jumped over, at the same moment.
            if is_last_try:
                raise
    raise AssertionError("unreachable")


def _make_missed_parts(
    station: Station, epoch: int, trigger_seq: int, triggered_at: datetime, actor: Actor
) -> None:
    newest = Part.objects.filter(station=station, epoch=epoch).aggregate(Max("trigger_seq"))[
        "trigger_seq__max"
    ]
    missed = range(0) if newest is None else range(newest + 1, trigger_seq)
    if len(missed) > MOST_MISSED_TRIGGERS:
        raise TriggerGapError(
            f"Trigger {trigger_seq} follows {newest}: {len(missed)} parts cannot be missing. If the trigger counter "
            "was reset, send the capture with the next epoch."
        )
    for seq in missed:
        _make_part(station, epoch, seq, triggered_at, actor, "", {})


def _make_part(
    station: Station,
    epoch: int,
    trigger_seq: int,
    triggered_at: datetime,
    actor: Actor,
    serial: str,
    metadata: dict[str, Any],
) -> Part:
    part = Part.objects.create(
        station=station,
        epoch=epoch,
        trigger_seq=trigger_seq,
        plc_part_id=part_id_of(station, epoch, trigger_seq),
        line=station.line,
        part_type=station.line.part_type,
        serial=serial,
        metadata=metadata,
        triggered_at=triggered_at,
    )
    record(part, "triggered", actor=actor, details={"trigger_seq": trigger_seq, "epoch": epoch})
    return part


def capture(
    *,
    station: Station,
    data: bytes,
    actor: Actor,
    trigger_seq: int | None = None,
    epoch: int | None = None,
    view: str = "main",
    serial: str = "",
    metadata: dict[str, Any] | None = None,
) -> Capture:
    """Take in one image: bytes durable first, then the row, then the ring.

    The same image again changes nothing and returns the same capture. An image that cannot be read is kept as it
    came, the part is held or rejected, and `image.problem` says why.

    A part with several views is inspected when all of them are there; until then it stays triggered, and past the
    capture deadline it is held or rejected.

    Raises DifferentImageError if this trigger and view have another image, UnknownViewError if the station has no
    such view, TriggerGapError as `trigger` does.
    """
    if view not in station.views:
        raise UnknownViewError(
            f"Station {station.code} has no view {view!r}; it has: {', '.join(station.views)}."
        )
    sha256 = hashlib.sha256(data).hexdigest()
    seq = next_trigger_seq(station) if trigger_seq is None else trigger_seq
    part = trigger(
        station=station, trigger_seq=seq, epoch=epoch, serial=serial, metadata=metadata, actor=actor
    )
    if part.state != PartState.TRIGGERED or len(station.views) > 1:
        earlier = Image.objects.filter(part=part, view=view).first()
        if earlier:
            return _same_or_different(part, earlier, sha256)
    # The disk and the decoder work side by side.
    writing = _writers.submit(storage.write, f"images/{sha256[:2]}/{sha256}", data)
    width, height, problem = _measure(data, sha256, station)
    fields = {
        "view": view,
        "file": writing.result(),
        "sha256": sha256,
        "byte_count": len(data),
        "width": width,
        "height": height,
        "problem": problem,
    }
    told = {"serial": serial, "metadata": metadata}
    try:
        part.station = station  # as the caller knows it: not asked for again
        image = _keep(part, fields, told, actor)
    except IntegrityError:
        # Two senders at the same moment: the other one's image counts, ours must equal it.
        part.refresh_from_db()
        return _same_or_different(part, Image.objects.get(part=part, view=view), sha256)
    return Capture(part, image, is_new=True)


@transaction.atomic
def _keep(part: Part, fields: dict[str, Any], told: dict[str, Any], actor: Actor) -> Image:
    # The part's row is the lock between its views, the sweeper and us: as read under it, it cannot move on.
    locked = Part.objects.select_for_update().values(*READ_UNDER_LOCK).get(pk=part.pk)
    for name, value in locked.items():
        setattr(part, name, value)
    image = Image.objects.create(part=part, received_at=timezone.now(), **fields)
    # A part that was made without its camera (a jumped trigger, the PLC's counter) learns only now what it is.
    news = {name: value for name, value in told.items() if value and not getattr(part, name)}
    if news:
        Part.objects.filter(pk=part.pk).update(**news)
        record(part, "described", actor=actor, details=news)
    _accept(part, image, actor)
    for name, value in news.items():
        setattr(part, name, value)
    return image


def _accept(part: Part, image: Image, actor: Actor) -> None:
    details = {"view": image.view, "sha256": image.sha256, "problem": image.problem}
    if part.state != PartState.TRIGGERED:
        # Another view, or an image that came after the part was held or rejected without it.
        record(part, "image_added", actor=actor, details=details)
        return
    if image.problem:
        record(part, "image_unreadable", actor=actor, details=details)
        hold_or_reject(part=part, reason=Reason.UNREADABLE_IMAGE, note=image.problem, actor=actor)
        return
    others = set(part.station.views) - {image.view}
    if others and not others.issubset(Image.objects.filter(part=part).values_list("view", flat=True)):
        record(part, "image_added", actor=actor, details=details)
        return
    at = image.received_at
    move(part, PartState.CAPTURED, actor=actor, details=details, captured_at=at, rung_at=at)
    ring_after_commit(part)


def _same_or_different(part: Part, earlier: Image, sha256: str) -> Capture:
    if earlier.sha256 != sha256:
        raise DifferentImageError(
            f"Trigger {part.trigger_seq} of {part.station.code} has another image in view {earlier.view!r}. "
            "One trigger has one image per view; send a new trigger_seq for a new exposure."
        )
    return Capture(part, earlier, is_new=False)


def _measure(data: bytes, sha256: str, station: Station) -> tuple[int | None, int | None, str]:
    """Width, height and "" of a whole picture.

    The worker on this machine need not decode it again, and may look at it while the part is written down.
    """
    try:
        picture = decode(data, max_pixels=station.max_pixels)
    except ImageError as problem:
        return None, None, str(problem)[:300]
    if pixels.offer(sha256, picture):
        ring_pixels(station.line_id, sha256)
    return picture.shape[1], picture.shape[0], ""
