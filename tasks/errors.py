"""Errors of the steps, and other libraries' errors told in one line."""

from edge_runtime.errors import EdgewrightError

LONGEST = 400


class RegistryError(EdgewrightError):
    """The registry does not have what was asked for, or has it in a form that cannot be used."""


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


class PublishError(EdgewrightError):
    """A candidate may not be published."""


class Overtaken(SystemFailure):
    """Another release was deployed after the gates had looked at what was deployed: it is to be judged again."""


class EmulatorError(EdgewrightError):
    """An emulator could not be prepared."""


class EmulatorMissing(EdgewrightError):  # noqa: N818 - it names a state, which a person can change
    """A CPU that cannot be emulated here; `remedy` says how it could be."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason} {remedy}")
        self.reason = reason
        self.remedy = remedy


class UnexpectedError(SystemFailure):
    """An error that nothing here expects; its traceback is the cause that it was raised from."""


SYSTEMS = frozenset(
    {"mlflow", "sqlalchemy", "sqlite3", "requests", "urllib3", "httpx", "httpcore", "prefect", "alembic"}
)
"""Packages whose exceptions are about the system around a version."""


def as_edgewright(error: BaseException) -> EdgewrightError:
    """Return an error as one sentence of the tree: what is of the version stays, all else is a failure of the system.

    An error of a disk, of memory, of the registry or of Prefect says nothing about the version. Neither does one that
    nobody expected.
    """
    if isinstance(error, EdgewrightError):
        return error
    if isinstance(error, OSError):
        return SystemFailure(
            f"expected the disk and the network to answer, got {one_line(error)}; cure it and run again"
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return SystemFailure(
            f"expected enough memory, got {one_line(error)}; end other processes, or run on a machine with more of it"
        )
    if type(error).__module__.partition(".")[0] in SYSTEMS:
        return SystemFailure(f"expected the registry and Prefect to answer, got {one_line(error)}; run again")
    return UnexpectedError(
        f"expected no such error, got {one_line(error)}; it says nothing about the version, which is asked again: "
        "please report it"
    )


def one_line(error: BaseException) -> str:
    """Return another library's error as part of a sentence: its type and the first 400 characters of its message."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said if len(said) <= LONGEST else said[:LONGEST] + '...'}"
