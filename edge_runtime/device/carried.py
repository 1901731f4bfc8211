"""Carried releases: a folder or one tar archive, with metadata, manifests and blobs, whatever brought it here.

Nothing is unpacked from an archive. Its files are only looked up by the names that trusted metadata ask for, and each
is read up to the length that was asked for, so what else is in it does no harm.
"""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from edge_runtime.bundle import BLOBS, TARGETS, Blob, Manifest
from edge_runtime.errors import InstallError, UpdateError
from edge_runtime.files import CHUNK, open_regular
from edge_runtime.install import DeviceStore, FolderSource, Source
from edge_runtime.trust import Fetch, NotThere, folder_fetch

MOST_FILES = 10_000


class Carried(Source, Protocol):
    """A carried repository: a source of blobs, which has the metadata with it."""

    @property
    def fetch(self) -> Fetch:
        """The way to its metadata and manifests."""

    def models(self, device: str) -> list[str]:
        """Return the names of the models that it has manifests of for a device class; nothing of them is trusted."""


@contextmanager
def open_carried(path: Path) -> Iterator[Carried]:
    """Open a folder, or a tar archive of one that is not compressed.

    Raises NotThere where nothing is there, and UpdateError for anything else.
    """
    if path.is_dir():
        yield CarriedFolder(path)
        return
    with _opened(path) as file:
        yield CarriedArchive(path, *_read(path, file))


@dataclass(frozen=True)
class CarriedFolder(FolderSource):
    """A folder, such as one on a USB stick."""

    @property
    def fetch(self) -> Fetch:
        """Files below the folder."""
        return folder_fetch(self.root)

    def models(self, device: str) -> list[str]:
        """List the folder of manifests."""
        return sorted(path.parent.name for path in (self.root / TARGETS).glob(f"*/{device}") if path.is_dir())


@dataclass(frozen=True)
class CarriedArchive:
    """A tar archive that is open; `files` has its regular files by their names."""

    path: Path
    archive: tarfile.TarFile
    files: dict[str, tarfile.TarInfo]

    def fetch(self, path: str, most_bytes: int, /) -> bytes:
        """Read a file of the archive, at most one byte more than `most_bytes`."""
        with self._opened(path) as file:
            return file.read(most_bytes + 1)

    def models(self, device: str) -> list[str]:
        """Look at the names of the manifests."""
        named = [name.split("/") for name in self.files]
        return sorted({parts[1] for parts in named if len(parts) == 4 and (parts[0], parts[2]) == (TARGETS, device)})

    def bring(self, blob: Blob, manifest: Manifest, store: DeviceStore) -> None:
        """Copy a blob out of the archive; no more than its own bytes are read."""
        if f"{BLOBS}/{blob.sha256}" not in self.files:
            raise InstallError(
                f"{self.path}: expected the blob {blob.sha256} of {manifest.model} version {manifest.version}, got "
                "none; carry it again, whole"
            )
        with self._opened(f"{BLOBS}/{blob.sha256}") as source, store.part_path(blob.sha256).open("wb") as part:
            left = blob.size
            while left > 0 and (chunk := source.read(min(left, CHUNK))):
                part.write(chunk)
                left -= len(chunk)

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        member = self.files.get(name)
        if member is None:
            raise NotThere(f"{self.path}: expected the file {name} in this archive, got none; make it again")
        try:
            file = self.archive.extractfile(member)
            if file is None:
                raise tarfile.TarError("it is no regular file")
            with file:
                yield file
        except tarfile.TarError as error:
            raise InstallError(f"{self.path}: expected to read {name}, got {error}; carry it again") from error


def _opened(path: Path) -> io.BufferedReader:
    try:
        return open_regular(path)
    except OSError as error:
        kind = NotThere if isinstance(error, FileNotFoundError) else UpdateError
        raise kind(
            f"{path}: expected a folder or a tar archive that was carried here, got: {error.strerror or error}; see "
            "whether it is mounted, and who may read it"
        ) from error


def _read(path: Path, file: io.BufferedReader) -> tuple[tarfile.TarFile, dict[str, tarfile.TarInfo]]:
    """Return an open archive and its regular files by name, of which the first one counts."""
    files: dict[str, tarfile.TarInfo] = {}
    try:
        archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - its file is closed by the caller
        for number, member in enumerate(archive):
            if number >= MOST_FILES:
                raise tarfile.TarError(f"more than {MOST_FILES} files")
            if member.isreg():
                files.setdefault(member.name.removeprefix("./"), member)
    except (tarfile.TarError, OSError, ValueError, EOFError, RecursionError, MemoryError) as error:
        raise UpdateError(
            f"{path}: expected a folder, or a tar archive that is not compressed, got: "
            f"{error or type(error).__name__}; carry it again"
        ) from error
    return archive, files
