"""What survives the controller: its log, and its retentive memory with the boot counter.

Every commit writes the log lines first and then the memory together with the length of the log. A process killed
between the two finds a log longer than its memory knows; those lines never took effect (no ack was visible before
the commit ended) and are cut off at the next start. So log and memory always tell the same story.
"""

import json
import os
import time
from collections import deque
from pathlib import Path
from typing import IO, Any


class Journal:
    """`log` and `state` may each be None: then nothing is kept of it."""

    def __init__(self, log: Path | None, state: Path | None) -> None:
        self._log_path = log
        self._state_path = state
        self._pending: list[str] = []
        self.lines: deque[dict[str, Any]] = deque(
            maxlen=20_000
        )  # the newest, for whoever runs in this process
        self.memory: dict[str, Any] = {}
        self._log: IO[bytes] | None = None

    def open(self) -> None:
        """Read the memory and open the log. Only one controller at a time may hold these files."""
        log, state = self._log_path, self._state_path
        for path in (log, state):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
        if state is not None and state.exists():
            self.memory = json.loads(state.read_text())
        if log is not None:
            if log.exists() and "log_bytes" in self.memory and log.stat().st_size > self.memory["log_bytes"]:
                os.truncate(log, self.memory["log_bytes"])
            self._log = log.open("ab")

    def note(self, event: str, **fields: Any) -> None:
        """One line of the log; it counts from the next `commit`."""
        line = {"event": event, "at": round(time.time(), 4), **fields}
        self.lines.append(line)
        self._pending.append(json.dumps(line))

    def commit(self, memory: dict[str, Any]) -> None:
        """Make the noted lines and the memory that goes with them last."""
        if self._log is not None and self._pending:
            self._log.write("".join(f"{line}\n" for line in self._pending).encode())
            self._log.flush()
        self._pending.clear()
        self.memory = {**memory, "log_bytes": self._log.tell() if self._log is not None else 0}
        if self._state_path is not None:
            fresh = self._state_path.with_suffix(".fresh")
            fresh.write_text(json.dumps(self.memory))
            fresh.replace(self._state_path)

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
