"""Errors of python-tuf as one sentence: what was expected, what was got, and what to do."""

from collections.abc import Mapping
from datetime import datetime

from tuf.api import exceptions
from tuf.api.serialization import DeserializationError

from edge_runtime.errors import TrustError

_SHOWN = 300  # characters: they may quote what somebody else wrote
_OTHERWISE = "The repository must be whole and valid", "fetch from an undamaged copy of the repository"
_RULES: Mapping[type[Exception], tuple[str, str]] = {
    exceptions.ExpiredMetadataError: (
        "Metadata must not be expired",
        "set the clock right if it is wrong, else let the repository sign its metadata again (and rotate the "
        "timestamp's key if a wrong clock has signed one)",
    ),
    exceptions.BadVersionNumberError: (
        "Metadata must be of the versions that are expected, and never older than what this device has verified",
        "fetch from a complete and current copy of the repository",
    ),
    exceptions.UnsignedMetadataError: (
        "Metadata must be signed by enough keys that its role has now",
        "fetch from the right repository, or let those who hold its keys sign it",
    ),
    exceptions.LengthOrHashMismatchError: (
        "Files must have the length and the sha256 that the signed metadata names",
        "fetch them again, from an undamaged copy of the repository",
    ),
    exceptions.DownloadLengthMismatchError: (
        "Files must not be longer than the device takes",
        "fetch from the right repository",
    ),
    DeserializationError: ("Metadata must be TUF metadata in JSON", "fetch from an undamaged copy of the repository"),
}


def refusal(error: Exception, reading: str, time: datetime | None = None) -> TrustError:
    """Return the TrustError for an error that arose after reading a file, judged at a time if expiry was judged."""
    expected, remedy = next((rule for kind, rule in _RULES.items() if isinstance(error, kind)), _OTHERWISE)
    text = str(error) or type(error).__name__
    judged = f" at {time:%Y-%m-%dT%H:%M:%SZ}" if time and isinstance(error, exceptions.ExpiredMetadataError) else ""
    return TrustError(f"{expected}{judged}, got: {_plain(text)} (after reading {_plain(reading)}); {remedy}.")


def _plain(text: str) -> str:
    """Return a text on one line, without any character that a terminal would obey."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)[:_SHOWN]
