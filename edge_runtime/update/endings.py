"""Endings of an update: the exit codes that scripts and timers read."""

from enum import IntEnum

from edge_runtime.errors import BadConfiguration, DeviceFailed, InstallError, StoreBusy, TrustError, UpdateError
from edge_runtime.update.carriers import HeldBack, NotThere, Unreachable


class UpdateExit(IntEnum):
    """Exit codes of an update; of several models, the ending that comes last in SEVERITY counts."""

    DONE = 0
    """Every model is up to date, or was updated."""
    DEVICE_FAILED = 1
    """The device could not: a full disk, no memory, a state folder that cannot be written, an interrupted trial."""
    BAD_CONFIGURATION = 2
    """The configuration, or the command line, has a mistake; nothing was asked."""
    HELD_BACK = 3
    """There is or may be an update, but the window, a lock, the cap or a pin holds it back; it is tried again."""
    REFUSED = 4
    """The offer is not trusted, is refused, or was rolled back; somebody should look."""
    UNREACHABLE = 5
    """The server or the folder could not be reached or read; it is tried again, later and later."""


SEVERITY = (
    UpdateExit.DONE,
    UpdateExit.HELD_BACK,
    UpdateExit.UNREACHABLE,
    UpdateExit.DEVICE_FAILED,
    UpdateExit.REFUSED,
    UpdateExit.BAD_CONFIGURATION,
)


def exit_of(error: BaseException) -> UpdateExit:
    """Return the exit code that an error means."""
    for kind, code in (
        (BadConfiguration, UpdateExit.BAD_CONFIGURATION),
        ((HeldBack, StoreBusy), UpdateExit.HELD_BACK),
        (DeviceFailed, UpdateExit.DEVICE_FAILED),
        ((Unreachable, NotThere), UpdateExit.UNREACHABLE),
        ((InstallError, TrustError, UpdateError), UpdateExit.REFUSED),
        ((OSError, MemoryError), UpdateExit.DEVICE_FAILED),
    ):
        if isinstance(error, kind):
            return code
    return UpdateExit.REFUSED
