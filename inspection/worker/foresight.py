"""The network looks at decoded pixels while their part is still being written down.

On a line whose network takes about as long as hashing, storing and claiming a part, the part waits for the longer of the
two instead of for both. What is foreseen is no decision: it is taken only for a claimed part whose stored bytes have
the same sha256, and only if the very model that looked is the one that answers for the line at that moment.
"""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from inspection import pixels
from inspection.worker.eye import Eye, Loaded
from vision.runtime.engine import Raw
from vision.staged import Begun, Stepwise

LASTS_S = 5.0  # whose part did not come by then is forgotten
LONGEST_WAIT_S = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ahead:
    loaded: Loaded
    look: Future[tuple[Begun, Raw] | None]
    since: float = field(default_factory=time.monotonic)


class Foresight:
    """One look at a time, in a thread of its own; for runtimes that take one image a call.

    Where a runtime takes batches it is fast enough, and a look outside of a batch would only disturb.
    """

    def __init__(self, eye: Eye) -> None:
        self._eye = eye
        self._ahead: dict[str, _Ahead] = {}
        self._lock = threading.Lock()
        self._looker = ThreadPoolExecutor(1, thread_name_prefix="foresee")

    def look(self, line_id: int, sha256: str) -> None:
        """Begin to look at the pixels that lie in shared memory under this hash; returns at once."""
        loaded = self._eye.at_hand(line_id)
        if loaded is None or not isinstance(loaded.predictor, Stepwise):
            return
        if getattr(loaded.predictor.engine, "batch", 1) > 1:
            return
        with self._lock:
            self._forget_old()
            if sha256 not in self._ahead:
                self._ahead[sha256] = _Ahead(loaded, self._looker.submit(_look, loaded.predictor, sha256))

    def take(self, sha256s: Sequence[str], loaded: Loaded) -> tuple[list[Begun], list[Raw]] | None:
        """What this loaded model saw in all of these images, waiting for a look that has begun; None if in any it did not."""
        with self._lock:
            found = [self._ahead.pop(sha256, None) for sha256 in sha256s]
        seen = [_result(each) for each in found if each is not None and each.loaded is loaded]
        whole = [each for each in seen if each is not None]
        if not whole or len(whole) != len(sha256s):
            return None
        return [begun for begun, _ in whole], [raw for _, raw in whole]

    def close(self) -> None:
        self._looker.shutdown(wait=False, cancel_futures=True)

    def _forget_old(self) -> None:
        limit = time.monotonic() - LASTS_S
        for sha256 in [sha256 for sha256, each in self._ahead.items() if each.since < limit]:
            del self._ahead[sha256]


def _look(predictor: Stepwise, sha256: str) -> tuple[Begun, Raw] | None:
    picture = pixels.take(sha256)
    if picture is None:
        return None
    begun = predictor.begin(picture)
    return begun, predictor.engine.run([begun.tiles])[0]


def _result(ahead: _Ahead) -> tuple[Begun, Raw] | None:
    """Whatever went wrong with it: the part is looked at in the ordinary way, and told there."""
    try:
        return ahead.look.result(timeout=LONGEST_WAIT_S)
    except Exception as problem:
        _log.info("a look ahead did not end: %s", problem)
        return None
