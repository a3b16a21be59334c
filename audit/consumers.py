"""`/ws/live/`: doorbells to every logged-in page, heartbeats, and resync by `{"since": seq}`."""

import asyncio
import contextlib
import itertools
import json
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.contrib.auth import get_user

from audit import live
from audit.queries import events_since, newest_seq

HEARTBEAT_S = 5.0
EARLY_BEATS_S = (0.5, 1.5)
MOST_RESYNC_MESSAGES = 500
NOT_LOGGED_IN = 4401


class LiveConsumer(AsyncJsonWebsocketConsumer):
    groups = (live.GROUP,)
    _beat: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        if not self.scope["user"].is_authenticated:
            # Accept first: a browser cannot read the code of a refused handshake.
            await self.accept()
            await self.close(code=NOT_LOGGED_IN)
            return
        await self.accept()
        self._beat = asyncio.create_task(self._heartbeat())

    async def disconnect(self, code: int) -> None:
        if self._beat:
            self._beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beat

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        since = _since(text_data)
        if since is None or self._beat is None:
            return
        events = await database_sync_to_async(events_since)(since, limit=MOST_RESYNC_MESSAGES)
        if len(events) == MOST_RESYNC_MESSAGES:
            # Too much to tell one by one: the page reads everything again.
            await self._say_newest("resync")
            return
        for event in events:
            await self.send_json(live.message_of(event))
        await self._say_newest("heartbeat")

    async def live_messages(self, event: dict[str, Any]) -> None:
        if self._beat is not None:
            for message in event["messages"]:
                await self.send_json(message)

    async def _heartbeat(self) -> None:
        # An event between the page's rendering and the subscription rings nobody; early beats show it soon.
        for pause_s in itertools.chain(EARLY_BEATS_S, itertools.repeat(HEARTBEAT_S)):
            await self._say_newest("heartbeat")
            await asyncio.sleep(pause_s)
            # A logout does not close a websocket by itself.
            if not await self._is_still_logged_in():
                await self.close(code=NOT_LOGGED_IN)
                return

    async def _say_newest(self, kind: str) -> None:
        seq = await database_sync_to_async(newest_seq)()
        await self.send_json({"seq": seq, "kind": kind, "id": 0, "version": 0})

    @database_sync_to_async
    def _is_still_logged_in(self) -> bool:
        session = self.scope["session"]
        if not session.exists(session.session_key):
            return False
        # The class of what the lazy object holds, not of the lazy object.
        fresh = type("Request", (), {"session": session.__class__(session.session_key)})()
        return get_user(fresh).is_authenticated  # type: ignore[arg-type]


def _since(text: str | None) -> int | None:
    """The number in `{"since": number}`; None for anything else, which a page of ours never sends."""
    try:
        said = json.loads(text or "")
    except ValueError:
        return None
    since = said.get("since") if isinstance(said, dict) else None
    return since if isinstance(since, int) and not isinstance(since, bool) else None
