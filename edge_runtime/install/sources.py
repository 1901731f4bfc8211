"""Sources: what brings blobs to a device. A folder is one; the carrier of updates is another."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_runtime.bundle import BLOBS, Blob, Manifest
from edge_runtime.errors import InstallError
from edge_runtime.files import CHUNK, open_regular
from edge_runtime.install.store import DeviceStore


class Source(Protocol):
    """A place that has the blobs of manifests. What it brings is checked by whoever asks."""

    def bring(self, blob: Blob, manifest: Manifest, store: DeviceStore) -> None:
        """Bring the bytes of a blob to `store.part_path(blob.sha256)`, whole; a part that is there may be gone on with.

        Raises InstallError or UpdateError where it cannot.
        """


@dataclass(frozen=True)
class FolderSource:
    """A folder of bundles that somebody carried here, whatever brought it."""

    root: Path

    def bring(self, blob: Blob, manifest: Manifest, store: DeviceStore) -> None:
        """Copy a blob out of the folder; no more than its own bytes are read."""
        try:
            with open_regular(self.root / BLOBS / blob.sha256) as source:
                _copy(source.read, store.part_path(blob.sha256), blob.size)
        except FileNotFoundError as error:
            raise InstallError(
                f"{self.root}: expected the blob {blob.sha256} of {manifest.model} version {manifest.version}, got "
                "none; carry the whole folder again"
            ) from error
        except OSError as error:
            raise InstallError(
                f"{self.root}: expected to copy the blob {blob.sha256}, got {error}; look at the disks, and run again"
            ) from error


def _copy(read: Callable[[int], bytes], part: Path, size: int) -> None:
    left = size
    with part.open("wb") as target:
        while left > 0 and (chunk := read(min(CHUNK, left))):
            target.write(chunk)
            left -= len(chunk)
