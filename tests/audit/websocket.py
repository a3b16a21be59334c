"""A browser's websocket without a browser. (channels.testing needs a second web server, which we do not install.)"""

import json
from typing import Any

from asgiref.testing import ApplicationCommunicator


class Page:
    """One page that holds `/ws/live/` open on the real ASGI application."""

    def __init__(self, cookie: bytes = b"", origin: bytes = b"http://127.0.0.1") -> None:
        from config.asgi import application

        scope = {
            "type": "websocket",
            "path": "/ws/live/",
            "query_string": b"",
            "headers": [(b"cookie", cookie), (b"origin", origin), (b"host", b"127.0.0.1")],
            "subprotocols": [],
        }
        self._wire = ApplicationCommunicator(application, scope)

    async def connect(self) -> bool:
        await self._wire.send_input({"type": "websocket.connect"})
        return (await self.output())["type"] == "websocket.accept"

    async def output(self) -> dict[str, Any]:
        return await self._wire.receive_output(timeout=5)

    async def hear(self) -> dict[str, Any]:
        return json.loads((await self.output())["text"])

    async def hear_until(self, kind: str) -> list[dict[str, Any]]:
        """Every message until one of this kind."""
        heard = [await self.hear()]
        while heard[-1]["kind"] != kind:
            heard.append(await self.hear())
        return heard

    async def hear_out(self) -> None:
        """Let everything that is on its way arrive, and forget it."""
        while not await self._wire.receive_nothing(timeout=0.2):
            await self.output()

    async def say(self, text: str | None = None, data: bytes | None = None) -> None:
        await self._wire.send_input({"type": "websocket.receive", "text": text, "bytes": data})

    async def ask_since(self, seq: int) -> None:
        await self.say(json.dumps({"since": seq}))

    async def leave(self) -> None:
        await self._wire.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._wire.wait(timeout=5)
