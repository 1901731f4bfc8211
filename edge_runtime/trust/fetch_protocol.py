"""The one thing that the trust code asks of a transport: a file of the repository, by its path."""

from pathlib import Path
from typing import Protocol

from edge_runtime.errors import UpdateError
from edge_runtime.files import open_regular


class NotThere(UpdateError):  # noqa: N818 - it names an answer of the repository
    """A file that the repository does not have, which HTTP servers say as 404 or 403."""


class Fetch(Protocol):
    """Get a whole file of a repository, whatever brings it."""

    def __call__(self, path: str, most_bytes: int, /) -> bytes:
        """Return the file at a path relative to the repository's root, such as `metadata/timestamp.json`.

        Of a file longer than `most_bytes`, the first `most_bytes` + 1 bytes are enough: the caller refuses it.
        Raises NotThere for a file that is not there, and UpdateError where it cannot be had now.
        """
        ...


def folder_fetch(root: Path | str) -> Fetch:
    """Return a Fetch that reads a repository in a folder, such as one on a USB stick; below it no link is followed."""
    folder = Path(root)

    def fetch(path: str, most_bytes: int, /) -> bytes:
        parts = path.split("/")
        if not path.isprintable() or any(part in ("", ".", "..") for part in parts):
            raise UpdateError(f"A file of a repository needs a path such as metadata/timestamp.json, not {path!r}.")
        try:
            _check_folders(folder, parts[:-1])
            with open_regular(folder / path) as file:
                return file.read(most_bytes + 1)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotThere(f"The repository in {folder} has no {path}; copy all of its files again.") from error
        except OSError as error:
            raise UpdateError(
                f"The file {path} of the repository in {folder} must be a regular file that can be read, "
                f"got: {error.strerror or error}; copy the repository again."
            ) from error

    return fetch


def _check_folders(folder: Path, parts: list[str]) -> None:
    for part in parts:
        folder /= part
        if folder.is_symlink():
            raise OSError(f"{folder} is a link")
