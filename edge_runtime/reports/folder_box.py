"""The drop box in a folder: a stick that a person carries, or a share. What lies there is never replaced."""

import os
from contextlib import suppress
from pathlib import Path

from edge_runtime.files import fsync_directory, make_directories, open_regular, write_atomic
from edge_runtime.update import Rejected, Unreachable


class FolderBox:
    """A folder that takes files as a server does by PUT; each is durable when `put` returns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def close(self) -> None:
        """Do nothing; a folder has no connection."""

    def put(self, path: str, data: bytes, media_type: str) -> None:  # noqa: ARG002 - a file has no type
        """Write a file. Raises Rejected where another one has its name, and Unreachable where the folder fails."""
        if not self._folder.is_dir():
            raise Unreachable(f"{self._folder} is not there; plug it in.")
        target = self._folder / path
        try:
            self._check_parent(target.parent)
            make_directories(target.parent)
            self._write(target, data)
        except OSError as error:
            raise Unreachable(
                f"{target} cannot be written ({error.strerror}); look at the medium and at the rights of the user who "
                "owns the state folder, then carry again."
            ) from error

    def _check_parent(self, parent: Path) -> None:
        if parent.is_symlink():
            raise Rejected(f"{parent} must be a folder, not a link, which could lead out of the box.")

    def _write(self, target: Path, data: bytes) -> None:
        for part in target.parent.glob(f".{target.name}.*.tmp"):  # of a stick that was pulled out
            with suppress(FileNotFoundError):
                part.unlink()
        if not os.path.lexists(target):
            write_atomic(target, data)
            return
        try:
            with open_regular(target) as file:
                found = file.read(len(data) + 1)
        except OSError as error:
            raise Rejected(f"{target} is no file that can be compared: {error}.") from error
        if found != data:
            raise Rejected(f"{target} holds another file, which is not replaced.")
        fsync_directory(target.parent)
