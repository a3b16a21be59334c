"""No request body fills the memory or the disk: Django would take in any body whole before it asks who sends it."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

MOST_BYTES = 2 * 2**20
MOST_CAPTURE_BYTES = 64 * 2**20  # docs/operation/install.md gives the reverse proxy the same limit
CAPTURES = "/api/v1/captures/"

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]


class BodyLimit:
    """ASGI: answers 413 as soon as a body is announced or found to be too long."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        most = MOST_CAPTURE_BYTES if scope["path"] == CAPTURES else MOST_BYTES
        if _announced(scope) > most:
            await _refuse(send, most)
            return
        received, is_too_long = 0, False

        async def counted() -> Message:
            nonlocal received, is_too_long
            message = await receive()
            received += len(message.get("body", b""))
            is_too_long = is_too_long or received > most
            # To the application it is as if the sender had gone: it stops reading and answers nothing.
            return {"type": "http.disconnect"} if is_too_long else message

        await self._application(scope, counted, send)
        if is_too_long:
            await _refuse(send, most)


def _announced(scope: Any) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _refuse(send: Send, most: int) -> None:
    detail = f"A request to this address may have at most {most // 2**20} MB."
    body = json.dumps({"error": "too_large", "detail": detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
