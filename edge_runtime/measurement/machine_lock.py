"""The machine's measuring lock: one measurement of time at a time on a machine, whoever takes it."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import MeasurementInterrupted

if TYPE_CHECKING:
    import logging

# One name for all users: the folder of TMPDIR may be a user's own.
LOCK = Path("/tmp/edgewright-measuring.lock")
LONGEST_WAIT_S = 1800.0
_POLL_S = 0.05
_SHARED = 0o666
_OPENING = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO that lies there would block


@contextmanager
def measuring_alone(path: Path = LOCK, longest_wait_s: float = LONGEST_WAIT_S) -> Iterator[None]:
    """Hold the machine's lock; wait while another measurement has it, which is logged once.

    The kernel frees it when the process that holds it ends in any way. Its children do not hold it. A lock file that
    cannot be used, such as another user's with no right to read, is a warning, and the measurement goes on without.
    Raises MeasurementInterrupted after the longest wait.
    """
    descriptor = _acquired(path, longest_wait_s)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _acquired(path: Path, longest_wait_s: float) -> int | None:
    """Return the locked descriptor, or None where the file cannot be used."""
    deadline = time.monotonic() + longest_wait_s
    waiting = False
    while True:
        try:
            descriptor = _locked(path)
        except OSError as error:
            _log().warning("measuring without the machine's lock %s: %s", path, error)
            return None
        if descriptor is not None:
            return descriptor
        if time.monotonic() > deadline:
            raise MeasurementInterrupted(
                f"Another measurement on this machine has held {path} for {longest_wait_s:g} s; look which process has "
                "it open (fuser, lsof), and measure again."
            )
        if not waiting:
            _log().info("waiting for another measurement on this machine to end (%s)", path)
        waiting = True
        time.sleep(_POLL_S)


def _locked(path: Path) -> int | None:
    """Return a descriptor with the lock; None where another has it, or has removed the file meanwhile."""
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _opened(path: Path) -> int:
    # Without O_CREAT first: with it, Linux refuses another user's file in a sticky folder (fs.protected_regular).
    try:
        descriptor = os.open(path, os.O_RDONLY | _OPENING)
    except FileNotFoundError:
        return _created(path)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"expected a plain file at {path}, got something else; remove it")
    return descriptor


def _created(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPENING, _SHARED)
    except FileExistsError:  # another process was first
        return os.open(path, os.O_RDONLY | _OPENING)
    os.fchmod(descriptor, _SHARED)  # whatever the umask is
    return descriptor


def _log() -> "logging.Logger":
    import logging  # only where it is needed: the measuring process imports this package, and its memory counts

    return logging.getLogger("edgewright")
