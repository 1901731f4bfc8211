"""Protocols between the carriers and those who use them: small files as bytes, large ones into a `.part` file."""

from pathlib import Path
from typing import Protocol

from edge_runtime.errors import UpdateError


class Fetch(Protocol):
    """A way to read a small file of a repository.

    Raises NotThere for a path that is not there, and another UpdateError where it cannot be read.
    """

    def __call__(self, path: str, most_bytes: int) -> bytes:
        """Return the file at a path relative to the repository's root; it has at most `most_bytes`."""


class Carrier(Fetch, Protocol):
    """A way to read a repository: small files, and large ones that are fetched on where they were left."""

    @property
    def remembered(self) -> list[str]:
        """Paths that were not asked for, because they were not there a short time ago."""

    def close(self) -> None:
        """End all connections, and write down what was received."""

    def download(self, path: str, part: Path, *, size: int, sha256: str) -> None:
        """Fill `part` with the file of this size and sha256; it is synced, and the caller renames it.

        Raises UpdateError, after which a part may stay to be fetched on, and OSError where the own disk fails.
        """


def check_path(path: str) -> None:
    """Raise UpdateError for a path that could lead out of the repository."""
    if "\\" in path or not path.isprintable() or any(part in ("", ".", "..") for part in path.split("/")):
        raise UpdateError(f"Expected a path below the repository, got {path!r}.")
