"""The carrier for a folder: a stick, a share, or what another carrier has brought. Nothing of it is trusted."""

import os
from pathlib import Path
from typing import BinaryIO

from edge_runtime.errors import UpdateError
from edge_runtime.files import open_regular
from edge_runtime.update.carriers.fetching import check_path
from edge_runtime.update.carriers.partial_file import PartialFile, discard
from edge_runtime.update.carriers.troubles import NotThere, Unreachable

_CHUNK = 1 << 20


class FolderCarrier:
    """Files of a repository in a folder; a Carrier. A copy that was interrupted goes on where it was left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.remembered: list[str] = []

    def close(self) -> None:
        """Do nothing; a folder has no connection."""

    def __call__(self, path: str, most_bytes: int) -> bytes:
        """Return a small file; raises NotThere, Unreachable, and UpdateError for one that is too large."""
        with self._opened(path) as file:
            try:
                data = file.read(most_bytes + 1)
            except OSError as error:
                raise self._unreadable(path, error) from error
        if len(data) > most_bytes:
            raise UpdateError(f"{self._folder / path}: expected at most {most_bytes} bytes, got more.")
        return data

    def download(self, path: str, part: Path, *, size: int, sha256: str) -> None:
        """Fill `part` with a file of this size and sha256; it is synced, not renamed. Raises as __call__ does."""
        with self._opened(path) as source, PartialFile(part, size) as file:
            length = os.fstat(source.fileno()).st_size
            if length != size:
                raise UpdateError(f"{self._folder / path}: expected {size} bytes, got {length}; copy the folder again.")
            self._copy(path, source, file)
            if file.sha256() != sha256 and file.earlier:
                file.restart()
                self._copy(path, source, file)
            found = file.sha256()
        if found != sha256:
            discard(part)
            raise UpdateError(
                f"{self._folder / path}: expected the sha256 {sha256}, got {found}; copy the folder again."
            )

    def _copy(self, path: str, source: BinaryIO, file: PartialFile) -> None:
        file.begin(None)
        source.seek(file.length)
        while file.length < file.size:
            try:
                data = source.read(min(_CHUNK, file.size - file.length))
            except OSError as error:
                raise self._unreadable(path, error) from error
            if not data:
                raise UpdateError(f"{self._folder / path} became shorter while it was copied; copy the folder again.")
            file.append(data)
        file.sync()

    def _opened(self, path: str) -> BinaryIO:
        check_path(path)
        try:
            return open_regular(self._folder / path)
        except FileNotFoundError as error:
            if not self._folder.is_dir():
                raise Unreachable(f"{self._folder} is not there; plug it in, or mend `url`.") from error
            raise NotThere(f"{self._folder / path} is not there.") from error
        except OSError as error:
            raise self._unreadable(path, error) from error

    def _unreadable(self, path: str, error: OSError) -> Unreachable:
        return Unreachable(f"{self._folder / path} cannot be read ({error.strerror}); look at the medium.")
