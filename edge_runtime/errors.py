"""The errors of the code that runs on the device; the errors of every other room share their root."""

import errno

_OF_SYSTEM = {errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EROFS}


class EdgewrightError(Exception):
    """The root of all errors; a message says what was expected, what was got and what to do."""


class BundleError(EdgewrightError):
    """A bundle that cannot be written, or that must not be trusted."""


class SessionError(EdgewrightError):
    """A model that does not load, or an input that the model does not take."""


class SessionMemoryError(SessionError):
    """ONNX Runtime could not get the memory that it asked for."""


class MeasurementFailed(EdgewrightError):  # noqa: N818 - it names an outcome, as a verdict does
    """A measurement that gave no figures; never a pass."""


class MeasurementInterrupted(MeasurementFailed):
    """A measurement that something outside the model ended, such as a time-out, a kill or a full disk.

    It says nothing about the model, so it is taken again.
    """


class MeasurementTimedOut(MeasurementInterrupted):
    """A measurement that ran out of its time: the machine was busy, or the model does not end."""


class DeltaError(EdgewrightError):
    """A delta that does not make the file that it was made for; the whole file is fetched instead."""


class TrustError(EdgewrightError):
    """Metadata of a repository that cannot be trusted: not signed well, expired, older than known, or malformed."""


class InstallError(EdgewrightError):
    """A bundle that cannot be installed here; what ran before goes on running."""


class DeviceFailed(InstallError):  # noqa: N818 - it says who failed: the device, not the bundle
    """A device that could not install: its disk is full or failed. It says nothing about the bundle."""


class StoreBusy(InstallError):  # noqa: N818 - a state, which ends by itself
    """A store that another process installs into at this moment."""


class BundleRefused(InstallError):  # noqa: N818 - it names an outcome, as a verdict does
    """A bundle that this device must not run, or that failed its trial; it is not tried again."""


class UpdateError(EdgewrightError):
    """A carrier that could not bring what was asked for."""


class BadConfiguration(UpdateError):  # noqa: N818 - it names a state
    """A configuration of a device that cannot be used; the message names the key."""


class ReportError(EdgewrightError):
    """A report of a device, or its key, that cannot be made, kept, read or trusted; the message names the field."""


class ServingError(EdgewrightError):
    """A request that was not answered."""


class ModelNotServed(ServingError):  # noqa: N818 - a state, as the others below
    """A model that this process does not serve, or not yet."""


class BadRequest(ServingError):  # noqa: N818
    """A request that the model does not take; the message names the input and what was expected."""


class TooLarge(BadRequest):
    """A request that is larger than this process takes."""


class UnknownCoding(BadRequest):
    """A request whose body is coded in a way that this process does not read."""


class ClientTooSlow(BadRequest):
    """A request that did not arrive within its time."""


class Overloaded(ServingError):  # noqa: N818
    """A request that was turned away at once, because as many as may wait do so; `retry_after_s` is a fair wait."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(ServingError):  # noqa: N818
    """A request whose deadline passed before its answer was there."""


class AnswerFailed(ServingError):  # noqa: N818
    """A request for which the session failed, alone; others are answered."""


def is_of_system(error: BaseException) -> bool:
    """Tell an error of the memory or the disk, which says nothing about the code that raised it."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _OF_SYSTEM)
