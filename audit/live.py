"""The live doorbell: after a commit, tell every open page `{seq, kind, id, version}` and nothing more.

`seq` is the id of the audit event. A lost message costs nothing: heartbeats carry the newest seq, and a page that
is behind asks `{"since": seq}` and is answered from the events themselves.
"""

import asyncio
import logging
import threading
from typing import TypedDict

from channels.layers import get_channel_layer

from audit.models import Event

GROUP = "live"
GATHER_S = 0.03
_log = logging.getLogger(__name__)


class Message(TypedDict):
    seq: int
    kind: str
    id: int
    version: int


def message_of(event: Event) -> Message:
    return {
        "seq": event.pk,
        "kind": event.subject_kind,
        "id": event.subject_id,
        "version": event.subject_version,
    }


def announce(message: Message) -> None:
    """Hand the message to this process's one sending loop and return at once; never raises.

    `async_to_sync` per event would make a new event loop and a new broker connection each time. The loop waits a
    moment and sends what has gathered: its thread would else take turns with the very work that goes on after the
    commit, and no page can tell 30 ms.
    """
    with _lock:
        _gathered.append(message)
        if len(_gathered) > 1:
            return
    try:
        asyncio.run_coroutine_threadsafe(_send_gathered(), _sending_loop())
    except RuntimeError:  # the interpreter is going down; the pages resync
        _log.debug("live message %s not sent", message["seq"])


async def _send_gathered() -> None:
    await asyncio.sleep(GATHER_S)
    with _lock:
        messages = list(_gathered)
        _gathered.clear()
    layer = get_channel_layer()
    try:
        await asyncio.wait_for(
            layer.group_send(GROUP, {"type": "live.messages", "messages": messages}), timeout=2
        )
    except Exception as problem:
        _log.warning("%s live messages were not sent: %s", len(messages), problem)


_lock = threading.Lock()
_gathered: list[Message] = []
_loop: asyncio.AbstractEventLoop | None = None


def _sending_loop() -> asyncio.AbstractEventLoop:
    global _loop  # noqa: PLW0603 - one loop a process is the point
    with _lock:
        if _loop is None or _loop.is_closed():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="live-doorbell", daemon=True).start()
            _loop = loop
        return _loop
