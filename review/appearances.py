"""Appearance rows: parts become points of `vision.appearance.SPACE`, those that people wait for first."""

import hashlib
import logging
from collections.abc import Callable, Iterable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.utils import timezone

from inspection import storage
from inspection.models import Image, Part
from inspection.queries import deciding_view
from review.models import Appearance, Case, Probe, Ruling
from review.states import CaseState
from vision import appearance as space
from vision import maps
from vision.images import ImageError, decode
from vision.predictor import FloatMap
from vision.predictor import Image as Pixels

if TYPE_CHECKING:  # it may load torch, which the web processes never need
    from vision.appearance_network import Embedder

WANTED = "wanted"  # the space of a row that asks for its vector
COMPARED = 300  # newest parts of a type that tell how alike its parts are: 44,850 pairs
NEWEST_RULINGS = 500  # besides the precedents: years of rulings are not searched every second
_log = logging.getLogger(__name__)


class _NoPictureError(Exception):
    """The part's picture cannot be had, now or ever."""


def embed_waiting(
    limit: int,
    *,
    only_urgent: bool = False,
    embedder: "Embedder | None" = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Give up to `limit` parts their point; returns how many were looked at.

    Cases on their way come first, then known parts, ruled parts, and what a containment asked for. A part whose
    picture cannot be had gets an empty vector, so that it is not tried for ever. The network is loaded when the first
    part waits. An OSError (the storage does not answer) ends the turn; those parts are tried again.

    only_urgent  cases on their way alone: asking for the others takes longer, the more rulings there are
    """
    waiting = _waiting(limit, only_urgent=only_urgent)
    if not waiting:
        return 0
    embedder = embedder or _embedder()
    done = 0
    for part in waiting:
        if is_stopped():
            break
        _keep(part.pk, _vector_of(part, embedder))
        done += 1
    return done


def want(part_ids: Iterable[int]) -> int:
    """Ask for the points of these parts, after all that is more urgent; returns how many were not asked for before."""
    now = timezone.now()
    wanted = set(part_ids)
    there = set(Appearance.objects.filter(part__in=wanted).values_list("part_id", flat=True))
    rows = [
        Appearance(part_id=part_id, space=WANTED, vector=b"", made_at=now)
        for part_id in sorted(wanted - there)
    ]
    Appearance.objects.bulk_create(rows, ignore_conflicts=True)  # another process may have been first
    return len(rows)


def point_of(part_id: int) -> bytes | None:
    """The part's vector as it is kept; empty where its picture cannot be had, None where nobody has looked yet."""
    kept = Appearance.objects.filter(part=part_id, space=space.SPACE).values_list("vector", flat=True).first()
    return None if kept is None else bytes(kept)


def alike_from(part_type_id: int) -> float:
    """From which similarity on two parts of this type are unusually alike (`vision.appearance.alike_from`)."""
    # First which parts, then their points: a sort that carries thousands of vectors takes ten times as long.
    of_type = Part.objects.filter(part_type=part_type_id, appearance__space=space.SPACE).order_by("-id")
    newest = list(of_type.values_list("pk", flat=True)[:COMPARED])
    kept = Appearance.objects.filter(part__in=newest).values_list("part", "part__serial", "vector")
    rows = [row for row in kept if row[2]]
    bodies = np.unique([serial or f"part {part_id}" for part_id, serial, _ in rows], return_inverse=True)[1]
    return space.alike_from(space.from_bytes([bytes(vector) for *_, vector in rows]), bodies)


def _waiting(limit: int, *, only_urgent: bool) -> list[Part]:
    """The most urgent parts without a point of this space, each once."""
    open_cases = Case.objects.exclude(state=CaseState.CLOSED).filter(~_has_point("part"))
    urgent = open_cases.order_by("deadline_slot", "id").values_list("part_id", flat=True)
    probes = Probe.objects.filter(retired_at=None).filter(~_has_point("part"))
    newest = Ruling.objects.order_by("-id").values("pk")[:NEWEST_RULINGS]
    rulings = Ruling.objects.filter(Q(is_precedent=True) | Q(pk__in=newest)).filter(~_has_point("case__part"))
    asked = Appearance.objects.filter(space=WANTED)
    later: tuple[QuerySet[Any, int], ...] = (
        probes.order_by("id").values_list("part_id", flat=True),
        rulings.order_by("-is_precedent", "-id").values_list("case__part_id", flat=True),
        asked.order_by("id").values_list("part_id", flat=True),
    )
    queues = (urgent,) if only_urgent else (urgent, *later)
    # A dictionary keeps the order; a later queue is asked only while there is room.
    ids = list(dict.fromkeys(islice((part_id for queue in queues for part_id in queue[:limit]), limit)))
    if not ids:
        return []
    parts = (
        Part.objects.filter(pk__in=ids)
        .select_related("station")
        .prefetch_related("inspections", Prefetch("images", queryset=Image.objects.order_by("id")))
        .in_bulk()
    )
    return [parts[part_id] for part_id in ids]


def _has_point(part: str) -> Exists:
    return Exists(Appearance.objects.filter(part=OuterRef(part), space=space.SPACE))


@cache
def _embedder() -> "Embedder":
    # Only the process that embeds loads a network, and only when the first part waits.
    from vision.appearance_network import Embedder

    return Embedder(Path(settings.DATA_DIR) / "appearance")


def _vector_of(part: Part, embedder: "Embedder") -> bytes:
    """Empty where the part can have no point."""
    try:
        picture = space.Picture(_pixels(part), _map_of(part))
        return space.to_bytes(embedder.embed([picture])[0])
    except (_NoPictureError, ImageError, ValueError) as problem:
        _log.info("part %s looks like no other: %s", part.pk, problem)
    except OSError:
        raise
    except Exception:  # one picture must not keep the others from their turn, again and again
        _log.exception("part %s could not be embedded", part.pk)
    return b""


def _pixels(part: Part) -> Pixels:
    view = deciding_view(part)
    shown = [image for image in part.images.all() if not image.problem]
    image = next((each for each in shown if each.view == view), shown[0] if shown else None)
    if image is None:
        raise _NoPictureError("it has no picture")
    try:
        data = storage.read(image.file)
    except FileNotFoundError as gone:
        raise _NoPictureError("its picture is gone") from gone
    # A flipped byte decodes cleanly into wrong pixels; only the hash tells.
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise _NoPictureError("its stored picture does not match its sha256")
    return decode(data, max_pixels=part.station.max_pixels)


def _map_of(part: Part) -> FloatMap | None:
    """Where the model suspects a defect; a map that is lost or damaged costs the part its crop, not its point."""
    name = next((look.map_file for look in part.inspections.all() if look.map_file), "")
    if not name:
        return None
    try:
        return maps.from_png(storage.read(name))
    except (FileNotFoundError, ValueError):
        return None


def _keep(part_id: int, vector: bytes) -> None:
    fields = {"space": space.SPACE, "vector": vector, "made_at": timezone.now()}
    try:
        with transaction.atomic():
            Appearance.objects.update_or_create(part_id=part_id, defaults=fields)
    except IntegrityError:
        _log.debug("another process has embedded part %s", part_id)
