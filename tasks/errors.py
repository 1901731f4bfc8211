"""Errors of the steps, and other libraries' errors told in one line."""

import os
import re
from urllib.parse import quote

from edge_runtime.errors import EdgewrightError, MeasurementInterrupted

LONGEST = 400
HIDDEN = "***"
SECRETS = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "PREFECT_API_KEY",
    "PREFECT_API_AUTH_STRING",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
)
"""Variables whose values no text may show."""
SHORTEST = 4  # a shorter value would also be found in words that are no secret
_LOGIN = re.compile(r"(?<=://)[^\s/?#]*@")
_PARAMETER = re.compile(r"([?&;][\w.-]*(?:token|passw|secret|signature|sig|key|credential)[\w.-]*=)[^\s&;#'\"]+", re.I)
_HEADER = re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?\w+\s+)[^\s'\"]+", re.I)


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


def says_nothing(error: EdgewrightError) -> bool:
    """Tell an error that says nothing about a version, which is asked again: exit code 3."""
    return isinstance(error, SystemFailure | MeasurementInterrupted)


def one_line(error: BaseException) -> str:
    """Return another library's error as part of a sentence: its type and the first 400 characters of its message."""
    said = without_secrets(" ".join(str(error).split()))
    return f"{type(error).__name__}: {said if len(said) <= LONGEST else said[:LONGEST] + '...'}"


def without_secrets(text: str) -> str:
    """Return a text without the logins and keys in its addresses, and without the values of secret variables."""
    text = _LOGIN.sub(f"{HIDDEN}@", text)
    text = _HEADER.sub(rf"\1{HIDDEN}", _PARAMETER.sub(rf"\1{HIDDEN}", text))
    for value in (os.environ.get(name, "") for name in SECRETS):
        if len(value) >= SHORTEST:
            text = text.replace(value, HIDDEN).replace(quote(value, safe=""), HIDDEN)
    return text
