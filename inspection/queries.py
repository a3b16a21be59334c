"""What one may ask about parts, lines and golden configurations."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import F, Max, Prefetch, Q, QuerySet
from django.db.models.functions import Coalesce

from audit.models import Event
from inspection.models import Disposition, GoldenConfiguration, Image, Inspection, Line, Part, Station
from inspection.states import GoldenState, PartState

WARMED, REFUSED = "warmed", "refused"
RING_AGAIN_AFTER = timedelta(seconds=3)
CLAIM_LASTS = timedelta(seconds=30)  # longer than any look; a worker that starts again frees its own at once


def station_by_code(code: str) -> Station | None:
    return Station.objects.select_related("line", "line__part_type").filter(code=code).first()


def active_golden(line: Line) -> GoldenConfiguration | None:
    active = GoldenConfiguration.objects.filter(line=line, state=GoldenState.ACTIVE)
    return active.select_related("line").first()


def newest_word_on(golden: GoldenConfiguration) -> Event | None:
    """What the inspect worker last said of this configuration: it is warm (verb WARMED), or refused (REFUSED)."""
    return newest_words_on([golden.pk]).get(golden.pk)


def newest_words_on(golden_ids: Collection[int]) -> dict[int, Event]:
    """The same for several, in one query; one of which the worker never spoke is left out."""
    words = Event.objects.filter(
        subject_kind=GoldenConfiguration._meta.model_name,
        subject_id__in=golden_ids,
        verb__in=[WARMED, REFUSED],
    )
    newest = words.values("subject_id").annotate(newest=Max("pk")).values("newest")
    return {word.subject_id: word for word in Event.objects.filter(pk__in=newest)}


def next_trigger_seq(station: Station) -> int:
    newest = Part.objects.filter(station=station, epoch=station.epoch).aggregate(seq=Max("trigger_seq"))[
        "seq"
    ]
    return (newest or 0) + 1


def parts_awaiting_inspection(
    now: datetime, *, besides: Collection[int] = (), only: int | None = None
) -> QuerySet[Part]:
    """Captured parts that no worker has in its hands, oldest first; a claim ends when its worker must be dead."""
    waiting = Part.objects.filter(
        Q(claimed_at__isnull=True) | Q(claimed_at__lt=now - CLAIM_LASTS), state=PartState.CAPTURED
    )
    if only is not None:
        waiting = waiting.filter(pk=only)
    return (
        waiting.exclude(pk__in=besides)
        .select_related("line", "station", "part_type")
        .prefetch_related("images")
        .order_by("id")
    )


def unrung_parts(now: datetime) -> QuerySet[Part]:
    """Captured parts whose last ring (if any) was so long ago that it must be taken for lost."""
    return (
        Part.objects.annotate(last_ring=Coalesce("rung_at", "captured_at"))
        .filter(state=PartState.CAPTURED, last_ring__lt=now - RING_AGAIN_AFTER)
        .order_by("id")
    )


def overdue_captures(line: Line, now: datetime) -> QuerySet[Part]:
    limit = now - timedelta(milliseconds=line.capture_deadline_ms)
    return Part.objects.filter(line=line, state=PartState.TRIGGERED, triggered_at__lt=limit).order_by("id")


def overdue_inspections(line: Line, now: datetime) -> QuerySet[Part]:
    limit = now - timedelta(milliseconds=line.inspect_deadline_ms)
    return Part.objects.filter(
        line=line, state__in=[PartState.CAPTURED, PartState.INSPECTED], captured_at__lt=limit
    ).order_by("id")


def deciding_view(part: Part) -> str:
    """The view whose score counts and whose map is kept; before a decision, the station's first."""
    looks: list[Inspection] = list(part.inspections.all())
    return next((look.view for look in looks if look.view), part.station.views[0])


def held_parts() -> QuerySet[Part]:
    """Parts that wait for a person, longest first."""
    return Part.objects.filter(state=PartState.HELD).order_by("held_at", "id")


def part_records() -> QuerySet[Part]:
    """Parts with all that a record shows, in a fixed number of queries."""
    return Part.objects.select_related("line", "station", "part_type").prefetch_related(
        Prefetch("images", queryset=Image.objects.order_by("view")),
        Prefetch("inspections", queryset=Inspection.objects.select_related("golden")),
        Prefetch("dispositions", queryset=Disposition.objects.select_related("person").order_by("id")),
    )


def newest_parts(line: Line, count: int) -> list[Part]:
    return list(part_records().filter(line=line).order_by("-id")[:count])


def parts_matching(
    *,
    serial: str = "",
    line: str = "",
    state: str = "",
    disposition: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Part]:
    """Parts by the filters of GET parts/; `disposition` means the final one, or HOLD for those still held."""
    parts = part_records()
    if serial:
        parts = parts.filter(serial=serial) | parts.filter(plc_part_id=serial)
    if line:
        parts = parts.filter(line__code=line)
    if state:
        parts = parts.filter(state=state)
    if disposition == "HOLD":
        parts = parts.filter(state=PartState.HELD)
    elif disposition:
        parts = parts.filter(dispositions__is_final=True, dispositions__outcome=disposition)
    if since:
        parts = parts.filter(triggered_at__gte=since)
    if until:
        parts = parts.filter(triggered_at__lt=until)
    return parts


def undisposed_count(line: Line) -> int:
    return Part.objects.filter(line=line).exclude(state=PartState.DISPOSED).count()


def goldens_of(line: Line) -> QuerySet[GoldenConfiguration]:
    return GoldenConfiguration.objects.filter(line=line).order_by(F("number").desc())
