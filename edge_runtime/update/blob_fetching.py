"""Blobs of a bundle that the device lacks: made from a delta where that is smaller, else fetched whole.

A blob that is there with its own digest is not fetched. A delta that makes another file is remembered and never fetched
again; the whole blob is fetched in its place, which a warning says and `FetchedBlobs` counts.
"""

import errno
import json
import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from edge_runtime.deltas import EMPTY, apply_delta
from edge_runtime.errors import DeltaError, UpdateError
from edge_runtime.files import fsync_directory, open_regular, sha256_of, write_atomic
from edge_runtime.update.carriers import Carrier, HeldBack, Unreachable, discard

_PART = ".part"
_SPARE = 1 << 20  # bytes that stay free
_MOST_REFUSED = 200
_log = logging.getLogger(__name__)


class WantedBlob(Protocol):
    """A blob of a manifest: its sha256 and its size in bytes."""

    @property
    def sha256(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102


class OfferedDelta(Protocol):
    """A delta of a manifest: the sha256 of the blob that it makes, of its base and of itself, and its own size."""

    @property
    def blob(self) -> str: ...  # noqa: D102
    @property
    def base(self) -> str: ...  # noqa: D102
    @property
    def sha256(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class FetchedBlobs:
    """Numbers of blobs: there already, made from deltas, fetched whole; and of deltas that made something else."""

    reused: int = 0
    by_delta: int = 0
    whole: int = 0
    deltas_refused: int = 0


class RefusedDeltas:
    """Digests of deltas that made something else than they promised, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._read()

    def add(self, sha256: str) -> None:
        """Remember a delta. Raises OSError where the disk fails."""
        kept = [each for each in self._read() if each != sha256][-_MOST_REFUSED + 1 :]
        write_atomic(self._path, json.dumps([*kept, sha256]).encode())

    def _read(self) -> list[str]:
        try:
            found = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("%s cannot be read and is begun anew: %s", self._path, error)
            return []
        return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


class BlobFetching:
    """Fetching into one folder of blobs, each named by its sha256."""

    def __init__(self, carrier: Carrier, folder: Path, refused: RefusedDeltas) -> None:
        self._carrier, self._folder, self._refused = carrier, folder, refused
        self._counts = FetchedBlobs()

    def fetch(self, blobs: Sequence[WantedBlob], deltas: Sequence[OfferedDelta]) -> FetchedBlobs:
        """Fetch the blobs that are missing or damaged; each is synced before it has its name.

        Raises UpdateError as the carrier does, after which parts stay for the next run, and OSError for a disk that is
        full, also before anything is fetched, or fails.
        """
        self._counts = FetchedBlobs()
        remove_leftovers(self._folder, f"{_PART}.json")
        wanted = {blob.sha256: blob for blob in blobs}
        missing = [blob for blob in wanted.values() if not self._is_there(blob)]
        self._counts = replace(self._counts, reused=len(wanted) - len(missing))
        self._check_space(missing)
        for blob in missing:
            usable = [delta for delta in deltas if delta.blob == blob.sha256 and self._is_smaller(delta, blob)]
            if any(self._made(blob, delta) for delta in sorted(usable, key=lambda delta: delta.size)):
                continue
            self._whole(blob)
        return self._counts

    def clean(self, blobs: Iterable[WantedBlob], deltas: Iterable[OfferedDelta]) -> None:
        """Remove what was begun for other blobs and deltas than these; only where those of all models are known."""
        kept = {f".{each.sha256}" for each in (*blobs, *deltas)}
        for path in self._folder.glob(f".*{_PART}*"):
            if path.name.partition(_PART)[0] not in kept:
                path.unlink(missing_ok=True)

    def _is_there(self, blob: WantedBlob) -> bool:
        path = self._folder / blob.sha256
        try:
            if path.lstat().st_size == blob.size and _has_digest(path, blob.sha256):
                return True
        except OSError:
            return False
        _log.warning("%s is damaged and is fetched again; look after the disk", path)
        return False

    def _check_space(self, missing: Sequence[WantedBlob]) -> None:
        needed = sum(blob.size - _length(self._part(blob.sha256)) for blob in missing)
        free = shutil.disk_usage(self._folder).free
        if missing and needed + _SPARE > free:
            raise OSError(
                errno.ENOSPC, f"expected {needed + _SPARE} free bytes for the blobs of an update, got {free}; make room"
            )

    def _is_smaller(self, delta: OfferedDelta, blob: WantedBlob) -> bool:
        left = blob.size - _length(self._part(blob.sha256))
        return delta.size - _length(self._part(delta.sha256)) < left and delta.sha256 not in self._refused

    def _made(self, blob: WantedBlob, delta: OfferedDelta) -> bool:
        """Make a blob from a delta; return False where that cannot be done here, or made something else."""
        base = None if delta.base == EMPTY else self._folder / delta.base
        if base is not None and not _has_digest(base, delta.base):
            return False
        part, made = self._part(delta.sha256), self._part(blob.sha256).with_suffix(f"{_PART}-made")
        try:
            self._carrier.download(f"blobs/{delta.sha256}", part, size=delta.size, sha256=delta.sha256)
            apply_delta(base, part, made, sha256=blob.sha256, size=blob.size)
        except (Unreachable, HeldBack):
            raise
        except UpdateError as error:
            _log.warning("the delta %s cannot be fetched, another way is tried: %s", delta.sha256, error)
            return False
        except DeltaError as error:
            self._refused.add(delta.sha256)
            discard(part)
            self._counts = replace(self._counts, deltas_refused=self._counts.deltas_refused + 1)
            _log.warning("the delta %s is refused, %d bytes were fetched in vain: %s", delta.sha256, delta.size, error)
            return False
        self._keep(made, blob)
        discard(part)
        discard(self._part(blob.sha256))
        self._counts = replace(self._counts, by_delta=self._counts.by_delta + 1)
        return True

    def _whole(self, blob: WantedBlob) -> None:
        part = self._part(blob.sha256)
        self._carrier.download(f"blobs/{blob.sha256}", part, size=blob.size, sha256=blob.sha256)
        self._keep(part, blob)
        discard(part)
        self._counts = replace(self._counts, whole=self._counts.whole + 1)

    def _keep(self, part: Path, blob: WantedBlob) -> None:
        part.chmod(0o444)
        part.rename(self._folder / blob.sha256)
        fsync_directory(self._folder)

    def _part(self, sha256: str) -> Path:
        return self._folder / f".{sha256}{_PART}"


def remove_leftovers(folder: Path, ending: str) -> None:
    """Remove what a kill has left of files with this ending while they were being replaced."""
    for leftover in folder.glob(f".*{ending}.*.tmp"):
        leftover.unlink(missing_ok=True)


def _has_digest(path: Path, sha256: str) -> bool:
    try:
        open_regular(path).close()
        return sha256_of(path) == sha256
    except OSError:
        return False


def _length(path: Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
