"""What can go wrong in a stage."""

from edge_runtime.errors import EdgewrightError

LONGEST = 400


class RegistryError(EdgewrightError):
    """The registry does not have what was asked for, or has it in a form that cannot be used."""


class RegistryUnavailable(EdgewrightError):  # noqa: N818 - it names a state, which passes
    """The registry gave no answer: nothing is known about what it has. Not a RegistryError, which is an answer."""


class PreflightError(EdgewrightError):
    """Model, recipe and workload do not fit each other."""


class RepresentativenessError(EdgewrightError):
    """The rows to teach and calibrate with are not like those of the deployment sites."""


class PublishError(EdgewrightError):
    """What was to be published may not be."""


class EmulatorError(EdgewrightError):
    """An emulator could not be prepared."""


class EmulatorMissing(EdgewrightError):  # noqa: N818 - it names a state, which a person can change
    """A CPU that cannot be emulated here; `remedy` says how it could be."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason} {remedy}")
        self.reason = reason
        self.remedy = remedy


def one_line(error: BaseException) -> str:
    """Another library's error as part of a sentence: its kind and the beginning of what it says."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said if len(said) <= LONGEST else said[:LONGEST] + '...'}"
