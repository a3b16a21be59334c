"""An event loop in a thread of its own behind blocking calls, for one connection and for no longer than it lives."""

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
GRACE_S = 0.25


class LoopThread:
    """Runs coroutines one at a time, each with a limit that holds even if the loop itself hangs."""

    def __init__(self, name: str) -> None:
        self._hangs = False
        self._loop = asyncio.new_event_loop()
        # Whatever fails belongs to a call that waits for it; what nobody waits for any more is of no interest.
        self._loop.set_exception_handler(lambda *_: None)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T], within_s: float) -> T:
        """The coroutine's result or exception; TimeoutError, and the coroutine cancelled, when the time is over."""
        if self._hangs:
            work.close()
            raise TimeoutError("the event loop hangs")
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, within_s), self._loop)
        try:
            return future.result(within_s + GRACE_S)
        except concurrent.futures.TimeoutError as late:
            self._hangs = not future.done()  # else the loop itself saw to the time
            future.cancel()
            raise TimeoutError(f"no answer within {within_s:g} s") from late
        except concurrent.futures.CancelledError as cancelled:
            raise ConnectionError("the connection was given up") from cancelled

    def stop(self, last: Callable[[], None]) -> None:
        """Do the last thing, cancel what still runs and end the thread; one that hangs does so when it wakes up."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(last)
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(0 if self._hangs else GRACE_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, asyncio.sleep(0), return_exceptions=True))
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()
