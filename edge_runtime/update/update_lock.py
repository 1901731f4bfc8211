"""Locks between processes: an application that is busy holds the update off, and one agent runs at a time.

The lock is flock(2) on a file that stays. An application holds it shared or exclusively while it must not be disturbed:
`flock --shared /var/lib/edgewright/busy.lock mission`. It should wait for it, since the agent holds it alone while it
installs, and for a moment while it looks. The kernel frees it when its holder ends in any way.
"""

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_runtime.errors import UpdateError, is_of_system
from edge_runtime.update.carriers import HeldBack

BUSY_LOCK = "busy.lock"
AGENT_LOCK = "agent.lock"
_POLL_S = 0.2
_OPENING = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@contextmanager
def exclusive(path: Path, wait_s: float = 0.0, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Hold the lock alone, and wait so many seconds for it; raises HeldBack where others hold it still.

    A file that is no plain file, or cannot be opened, is an UpdateError: an update that nobody can hold off must not
    run. A disk that is full or fails is an OSError.
    """
    try:
        descriptor = _opened(path)
    except OSError as error:
        if is_of_system(error):
            raise
        raise UpdateError(
            f"The lock {path} cannot be opened ({error.strerror}); mend lock.file or its rights."
        ) from error
    try:
        _wait(descriptor, path, wait_s, sleep)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    # Without O_CREAT first: with it, Linux refuses another user's file in a sticky folder (fs.protected_regular).
    try:
        descriptor = os.open(path, os.O_RDONLY | _OPENING)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | _OPENING, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "no plain file")
    return descriptor


def _wait(descriptor: int, path: Path, wait_s: float, sleep: Callable[[float], None]) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise HeldBack("lock", f"Another process holds {path}; the update is tried again later.") from error
            sleep(_POLL_S)
