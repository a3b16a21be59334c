"""The live doorbell: after a commit, tell every open page `{seq, kind, id, version}` and nothing more.

`seq` is the id of the audit event. A lost message costs nothing: heartbeats carry the newest seq, and a page that
is behind asks `{"since": seq}` and is answered from the events themselves.

Who only judges parts hears of cases alone, and by their time instead of by the event's id: ids count what happens to
parts as well, and by that a known part that was slipped in could be told from one that waits on the line.
"""

import asyncio
import logging
import threading
from typing import TypedDict

from channels.layers import get_channel_layer

from audit.models import Event

GROUP = "live"
JUDGED = "case"  # the one kind of row that concerns who only judges parts
WITH_THE_EXPERT = "tied"  # and what becomes of a case there does not: only some cases ever get there
GATHER_S = 0.03
_log = logging.getLogger(__name__)


class Message(TypedDict):
    seq: int
    kind: str
    id: int
    version: int


class Doorbell(TypedDict):
    """One event as it goes to the web processes; each tells its pages the part that is for them."""

    message: Message
    judge_seq: int | None  # None: not for who only judges


def message_of(event: Event) -> Message:
    return {
        "seq": event.pk,
        "kind": event.subject_kind,
        "id": event.subject_id,
        "version": event.subject_version,
    }


def judge_seq_of(event: Event) -> int | None:
    """The event's time in microseconds; None if who only judges parts must not hear of it."""
    is_told = event.subject_kind == JUDGED and event.before != WITH_THE_EXPERT
    return int(event.at.timestamp() * 1_000_000) if is_told else None


def doorbell_of(event: Event) -> Doorbell:
    return {"message": message_of(event), "judge_seq": judge_seq_of(event)}


def heard(bell: Doorbell, *, only_judges: bool) -> Message | None:
    """What a page is told of the event: nothing, or the four fields."""
    if not only_judges:
        return bell["message"]
    seq = bell["judge_seq"]
    return None if seq is None else {**bell["message"], "seq": seq}


def announce(bell: Doorbell) -> None:
    """Hand the doorbell to this process's one sending loop and return at once; never raises.

    `async_to_sync` per event would make a new event loop and a new broker connection each time. The loop waits a
    moment and sends what has gathered: its thread would else take turns with the very work that goes on after the
    commit, and no page can tell 30 ms.
    """
    with _lock:
        _gathered.append(bell)
        if len(_gathered) > 1:
            return
    try:
        asyncio.run_coroutine_threadsafe(_send_gathered(), _sending_loop())
    except RuntimeError:  # the interpreter is going down; the pages resync
        _log.debug("live message %s not sent", bell["message"]["seq"])


async def _send_gathered() -> None:
    await asyncio.sleep(GATHER_S)
    with _lock:
        bells = list(_gathered)
        _gathered.clear()
    layer = get_channel_layer()
    try:
        await asyncio.wait_for(layer.group_send(GROUP, {"type": "live.bells", "bells": bells}), timeout=2)
    except Exception as problem:
        _log.warning("%s live messages were not sent: %s", len(bells), problem)


_lock = threading.Lock()
_gathered: list[Doorbell] = []
_loop: asyncio.AbstractEventLoop | None = None


def _sending_loop() -> asyncio.AbstractEventLoop:
    global _loop  # noqa: PLW0603 - one loop a process is the point
    with _lock:
        if _loop is None or _loop.is_closed():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="live-doorbell", daemon=True).start()
            _loop = loop
        return _loop
