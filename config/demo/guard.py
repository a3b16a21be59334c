"""Lets no process outlive the supervisor, not even after `kill -9` of it.

Run as a file by the supervisor, with the standard library only, in two roles:

exec PARENT COMMAND…   becomes COMMAND, after it has tied its own life to its parent's and told the watch about itself
watch                  waits until the supervisor is gone and then kills every process group it was told of

Every process has a session of its own, so its group holds its children too. On Linux the kernel kills the process
when its parent dies (PR_SET_PDEATHSIG); the watch does the same for its children, and for both on other systems.
The watch learns of the supervisor's death from the pipe between them: it ends when the last writer is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
REGISTER, FORGET = "+", "-"


def become(command: list[str], *, parent: int, pipe: int) -> None:
    """Turn this process into the command, bound to its parent and known to the watch.

    The parent may have died before the kernel was asked to watch it; the second look at the parent's pid
    closes that gap.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(os.EX_UNAVAILABLE)
    os.write(pipe, f"{REGISTER}{os.getpid()}\n".encode())
    os.close(pipe)  # else the watch would see a writer as long as this process lives
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the command would inherit that
    try:
        os.execvp(command[0], command)  # noqa: S606 - the supervisor's own fixed command
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}.")


def watch(pipe: int) -> None:
    """Read which groups live until the supervisor is gone, then kill those."""
    for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(asked, signal.SIG_IGN)
    groups: set[int] = set()
    with os.fdopen(pipe, encoding="ascii") as lines:
        for line in lines:
            group = int(line[1:])
            if line[0] == REGISTER:
                groups.add(group)
            else:
                groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Take the role the supervisor asks for: `watch FD`, or `exec FD PARENT COMMAND…`."""
    role, pipe = arguments[0], int(arguments[1])
    if role == "watch":
        watch(pipe)
    else:
        become(arguments[3:], parent=int(arguments[2]), pipe=pipe)


if __name__ == "__main__":
    main(sys.argv[1:])
