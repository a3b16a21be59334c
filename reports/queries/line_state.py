"""Whether a line's worker, camera, PLC and model are in order, as the workstation asks every ten seconds."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import redis

from inspection.models import Line, Part
from inspection.queries import REFUSED, active_golden, newest_word_on
from plc.queries import link_health, links_of
from reports.figures import duration
from reports.queries.invariants import GRACE
from reports.queries.pulse import inspect_worker_is_alive

OK, FAULT, UNKNOWN = "ok", "fault", "unknown"
QUIET = timedelta(hours=1)  # a camera that nobody has triggered for so long may be anything


@dataclass(frozen=True, slots=True)
class Sign:
    """`state` is ok, fault or unknown; the sentence says why."""

    state: str
    sentence: str


def line_state(line: Line, now: datetime) -> dict[str, Sign]:
    return {
        "worker": _worker(),
        "camera": _camera(line, now),
        "plc": _plc(line, now),
        "model": _model(line),
    }


def _worker() -> Sign:
    try:
        is_alive = inspect_worker_is_alive()
    except redis.RedisError:
        return Sign(UNKNOWN, "The broker does not answer, so nobody hears the inspect worker.")
    if is_alive:
        return Sign(OK, "The inspect worker is alive.")
    return Sign(FAULT, "The inspect worker is silent: new parts are not scored, and none passes by itself.")


def _camera(line: Line, now: datetime) -> Sign:
    newest = Part.objects.filter(line=line).order_by("-id").values_list("triggered_at", "captured_at").first()
    if newest is None:
        return Sign(UNKNOWN, "No part has come yet.")
    triggered_at, captured_at = newest
    if captured_at is None:
        if now - triggered_at > timedelta(milliseconds=line.capture_deadline_ms) + GRACE:
            return Sign(FAULT, "The newest trigger brought no image.")
        # On a running line some trigger always waits: what the camera last did tells more.
        captured = Part.objects.filter(line=line, captured_at__isnull=False).order_by("-id")
        captured_at = captured.values_list("captured_at", flat=True).first()
    if captured_at is None:
        return Sign(UNKNOWN, "The first trigger waits for its image.")
    since = duration((now - captured_at).total_seconds() * 1000)
    if now - captured_at > QUIET:
        return Sign(UNKNOWN, f"No image for {since}; nothing was triggered either.")
    return Sign(OK, f"The newest image came {since} ago.")


def _plc(line: Line, now: datetime) -> Sign:
    healths = [link_health(link, now) for link in links_of(line)]
    if not healths:
        return Sign(UNKNOWN, "No PLC is set up for this line.")
    for word, state in (("down", FAULT), ("late", UNKNOWN)):
        for health in healths:
            if health.word == word:
                return Sign(state, health.sentence)
    return Sign(OK, healths[0].sentence)


def _model(line: Line) -> Sign:
    golden = active_golden(line)
    if golden is None:
        return Sign(FAULT, "No golden configuration is active: no part passes by itself.")
    word = newest_word_on(golden)
    if word is not None and word.verb == REFUSED:
        return Sign(FAULT, f"The inspect worker refuses {golden}: {word.details.get('problem', '')}")
    return Sign(OK, f"{golden} is active.")
