"""Django behind ASGI, with everything of a request in one thread of a pool.

Django's own handler starts a new thread for each request, and with it a new database connection, and changes threads
at each middleware: an answer from six rows then costs more in going to and fro than in work. Here the whole request
runs as under WSGI, and the pool's threads keep their connections.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.urls import set_script_prefix

THREADS = 8  # a report that takes its time leaves the others to the people at the screens


class ThreadedDjango(ASGIHandler):
    """An ASGI application for plain, synchronous views; a client that goes away in the middle changes nothing."""

    def __init__(self) -> None:
        # Not ASGIHandler's: it would load the middleware for a handler that changes threads.
        self.load_middleware()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="request")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        in_pool = asyncio.get_running_loop().run_in_executor
        response = await in_pool(self._pool, self._answer, scope, body)
        if not response.streaming:
            await self.send_response(response, send)
            return
        try:
            if not response.is_async:
                response.streaming_content = self._in_pool(iter(response.streaming_content))
            await self.send_response(response, send)
        finally:
            await in_pool(self._pool, response.close)

    def _answer(self, scope: Any, body: Any) -> Any:
        """From the first signal to the last; a streaming answer is closed when it has been sent."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        response: Any = refusal if request is None else self.get_response(request)
        response._handler_class = self.__class__
        if response.streaming:
            response._resource_closers.append(body.close)
        else:
            response.close()
            body.close()
        return response

    async def _in_pool(self, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks, each read in the pool: the server's loop waits for no disk."""
        in_pool = asyncio.get_running_loop().run_in_executor
        while (chunk := await in_pool(self._pool, next, chunks, None)) is not None:
            yield chunk
