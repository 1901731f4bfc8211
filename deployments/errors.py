"""The error of configuration that is not usable as written, and other code's errors told in one line."""

import os
import re
from urllib.parse import quote

from edge_runtime.errors import EdgewrightError

LONGEST = 400
HIDDEN = "***"
SECRETS = (
    "EDGEWRIGHT_KEY_PASSPHRASE",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY",
    "EDGEWRIGHT_WEBHOOK_SECRET",
    "PREFECT_API_KEY",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_DATABASE_PASSWORD",
    "PREFECT_SERVER_DATABASE_PASSWORD",
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


class ConfigurationError(EdgewrightError):
    """Error in a recipe, a device profile or a workload; the message names file, key and remedy."""


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
