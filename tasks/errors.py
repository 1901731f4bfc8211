"""Errors of the steps."""

from collections.abc import Iterator

from deployments.errors import one_line as one_line  # noqa: PLC0414 - the steps take it from here
from deployments.errors import without_secrets as without_secrets  # noqa: PLC0414
from edge_runtime.errors import EdgewrightError, MeasurementInterrupted


class RegistryError(EdgewrightError):
    """The registry does not have what was asked for, or has it in a form that cannot be used."""


class AnchorLost(RegistryError):  # noqa: N818 - it names a state, which a person can change
    """The anchor cannot be told from the registry; `remedy` says who may name it again."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason} {remedy}")
        self.reason = reason
        self.remedy = remedy


class SystemFailure(EdgewrightError):  # noqa: N818 - it names an outcome, as a verdict does
    """The system around a version failed: disk, memory, registry or Prefect.

    It says nothing about the version, which is asked for again. Exit code 3; every other error has 2.
    """


class RegistryUnavailable(SystemFailure):  # names a state, which passes
    """The registry gave no answer: nothing is known about what it has. Not a RegistryError, which is an answer."""


class PreflightError(EdgewrightError):
    """Model, recipe and workload do not fit each other."""


class RepresentativenessError(EdgewrightError):
    """The rows to train and calibrate with are not like those of the deployment sites."""


class StructureLost(EdgewrightError):  # noqa: N818 - it names a state; another structure is chosen then
    """A version cannot take on the structure of a release; the message is the reason, as a part of a sentence."""


class PublishError(EdgewrightError):
    """A candidate may not be published."""


class KeysError(EdgewrightError):
    """A key, or metadata that is signed with it, is missing, wrong or too little protected."""


class EnrolmentError(EdgewrightError):
    """A device's key that cannot be enrolled, or a device that nobody enrolled."""


class DropBoxError(EdgewrightError):
    """A drop box that is none, or a file in it that is no report; never trusted, and never read whole."""


class RecordDamaged(SystemFailure):  # names a state, which a person can change
    """The record of what was taken from a drop box cannot be read."""


class Overtaken(SystemFailure):
    """Another release was deployed after the gates had looked at what was deployed: it is to be judged again."""


class Held(SystemFailure):  # names a state, which a person can change
    """A person holds the version back on a device: that is true of today and says nothing about the version."""


class EmulatorError(EdgewrightError):
    """An emulator could not be prepared."""


class EmulatorMissing(EdgewrightError):  # noqa: N818 - it names a state, which a person can change
    """A CPU that cannot be emulated here; `remedy` says how it could be."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason} {remedy}")
        self.reason = reason
        self.remedy = remedy


def causes(error: object) -> Iterator[BaseException]:
    """Yield an error and what caused it; MLflow and Prefect put that of the connection behind errors of their own."""
    seen: set[int] = set()
    while isinstance(error, BaseException) and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def is_of_system(error: Exception) -> bool:
    """Tell an error of the system around a run, ours or another library's, from a sentence about what was asked.

    A key that is missing on a machine is one: the same is asked again once it is there.
    """
    return isinstance(error, SystemFailure | KeysError) or not isinstance(error, EdgewrightError)


def says_nothing(error: EdgewrightError) -> bool:
    """Tell an error that says nothing about a version, which is asked again: exit code 3."""
    return isinstance(error, SystemFailure | KeysError | MeasurementInterrupted)
