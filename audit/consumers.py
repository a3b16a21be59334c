"""`/ws/live/`: doorbells to every logged-in page, heartbeats, and resync by `{"since": seq}`.

A page of somebody who only judges parts is told of cases and of nothing else: see audit/live.py.
"""

import asyncio
import contextlib
import itertools
import json
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.contrib.auth import get_user

from accounts.models import Person
from accounts.queries import only_judges
from audit import live, presence
from audit.queries import events_since, judged_events_since, newest_judge_seq, newest_seq

HEARTBEAT_S = 5.0
EARLY_BEATS_S = (0.5, 1.5)
MOST_RESYNC_MESSAGES = 500
NOT_LOGGED_IN = 4401


class LiveConsumer(AsyncJsonWebsocketConsumer):
    groups = (live.GROUP,)
    _beat: asyncio.Task[None] | None = None
    _person_id: int | None = None
    _only_judges = True

    async def connect(self) -> None:
        if not self.scope["user"].is_authenticated:
            # Accept first: a browser cannot read the code of a refused handshake.
            await self.accept()
            await self.close(code=NOT_LOGGED_IN)
            return
        await self._enter()
        await self.accept()
        self._beat = asyncio.create_task(self._heartbeat())

    async def disconnect(self, code: int) -> None:
        if self._beat:
            self._beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beat
        if self._person_id is not None:
            await database_sync_to_async(presence.leaves)(self._person_id, self.channel_name)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        since = _since(text_data)
        if since is None or self._beat is None:
            return
        bells = await self._missed(since)
        if bells is None:
            # Too much to tell one by one: the page reads everything again.
            await self._say_newest("resync")
            return
        await self._tell(bells)
        await self._say_newest("heartbeat")

    async def live_bells(self, event: dict[str, Any]) -> None:
        if self._beat is not None:
            await self._tell(event["bells"])

    async def _tell(self, bells: list[live.Doorbell]) -> None:
        for bell in bells:
            if message := live.heard(bell, only_judges=self._only_judges):
                await self.send_json(message)

    @database_sync_to_async
    def _missed(self, since: int) -> list[live.Doorbell] | None:
        events = (judged_events_since if self._only_judges else events_since)(
            since, limit=MOST_RESYNC_MESSAGES
        )
        if events is None or len(events) == MOST_RESYNC_MESSAGES:
            return None
        return [live.doorbell_of(event) for event in events]

    async def _heartbeat(self) -> None:
        # The server says by an OSError that the page has gone; `disconnect` is on its way then.
        with contextlib.suppress(OSError):
            # An event between the page's rendering and the subscription rings nobody; early beats show it soon.
            for pause_s in itertools.chain(EARLY_BEATS_S, itertools.repeat(HEARTBEAT_S)):
                await self._say_newest("heartbeat")
                await asyncio.sleep(pause_s)
                # A logout does not close a websocket by itself.
                if not await self._is_still_logged_in():
                    await self.close(code=NOT_LOGGED_IN)
                    return

    async def _say_newest(self, kind: str) -> None:
        seq = await database_sync_to_async(newest_judge_seq if self._only_judges else newest_seq)()
        await self.send_json({"seq": seq, "kind": kind, "id": 0, "version": 0})

    @database_sync_to_async
    def _enter(self) -> None:
        self._know(self.scope["user"])

    @database_sync_to_async
    def _is_still_logged_in(self) -> bool:
        session = self.scope["session"]
        if not session.exists(session.session_key):
            return False
        # The class of what the lazy object holds, not of the lazy object.
        fresh = type("Request", (), {"session": session.__class__(session.session_key)})()
        person = get_user(fresh)  # type: ignore[arg-type]
        if isinstance(person, Person):
            self._know(person)
        return person.is_authenticated

    def _know(self, person: Person) -> None:
        """Note that this page is open, and what its person may hear: roles change while pages are open."""
        self._person_id = person.pk
        self._only_judges = only_judges(person)
        presence.is_here(person.pk, self.channel_name)


def _since(text: str | None) -> int | None:
    """The number in `{"since": number}`; None for anything else, which a page of ours never sends."""
    try:
        said = json.loads(text or "")
    except ValueError:
        return None
    since = said.get("since") if isinstance(said, dict) else None
    return since if isinstance(since, int) and not isinstance(since, bool) else None
