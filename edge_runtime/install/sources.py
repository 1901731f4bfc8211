"""Sources: what brings blobs to a device. A folder is one; the carrier of updates is another."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from edge_runtime.bundle import BLOBS, Blob, Manifest
from edge_runtime.errors import DeviceFailed, InstallError
from edge_runtime.files import CHUNK, open_regular
from edge_runtime.install.store import DeviceStore

_AT_ONCE = 1 << 30
_NOT_BY_KERNEL = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}


class Source(Protocol):
    """A place that has the blobs of manifests. What it brings is checked by whoever asks."""

    def bring(self, blob: Blob, manifest: Manifest, store: DeviceStore) -> None:
        """Bring the bytes of a blob to `store.part_path(blob.sha256)`, whole; a part that is there may be gone on with.

        Raises InstallError or UpdateError where it cannot; DeviceFailed where a disk fails.
        """


@dataclass(frozen=True)
class FolderSource:
    """A folder of bundles that somebody carried here, whatever brought it."""

    root: Path

    def bring(self, blob: Blob, manifest: Manifest, store: DeviceStore) -> None:
        """Copy a blob out of the folder; no more than its own bytes are read."""
        try:
            with open_regular(self.root / BLOBS / blob.sha256) as source:
                _copy(source, store.part_path(blob.sha256), blob.size)
        except FileNotFoundError as error:
            raise InstallError(
                f"{self.root}: expected the blob {blob.sha256} of {manifest.model} version {manifest.version}, got "
                "none; carry the whole folder again"
            ) from error
        except OSError as error:
            raise DeviceFailed(
                f"{self.root}: expected to copy the blob {blob.sha256}, got {error}; look at the disks, and run again"
            ) from error


def _copy(source: BinaryIO, part: Path, size: int) -> None:
    """Copy the first bytes of a file; within the kernel where it can do that, as `cp` does."""
    with part.open("wb") as target:
        left = size
        while left > 0 and (copied := _copied(source, target, left)):
            left -= copied


def _copied(source: BinaryIO, target: BinaryIO, most: int) -> int:
    try:
        return os.copy_file_range(source.fileno(), target.fileno(), min(most, _AT_ONCE))
    except OSError as error:
        if error.errno not in _NOT_BY_KERNEL:
            raise
    chunk = os.read(source.fileno(), min(most, CHUNK))
    target.write(chunk)
    target.flush()
    return len(chunk)
