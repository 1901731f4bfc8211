"""A file that is being fetched: it grows from its start, survives kills and power cuts, and knows what to trust.

Beside `NAME.part` lies `NAME.part.json`: the boot in which the file grew, how many bytes were synced, and the server's
ETag. Within one boot the kernel has every byte that was written. After another boot only what was synced counts, since
a power cut may leave zeros or other data behind it. The digest of the whole decides in the end.
"""

import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from edge_runtime.errors import UpdateError
from edge_runtime.files import write_atomic
from edge_runtime.update.carriers.aged_file import boot_id

_CHUNK = 1 << 20
_MOST_BYTES = 4096
_MOST_ETAG = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Record:
    boot: str
    synced: int
    etag: str | None


def record_of(part: Path) -> Path:
    """Return the path of the record beside a `.part` file."""
    return part.with_name(f"{part.name}.json")


def discard(part: Path) -> None:
    """Remove a `.part` file and its record."""
    part.unlink(missing_ok=True)
    record_of(part).unlink(missing_ok=True)


class PartialFile:
    """A `.part` file, open for appending; use it as a context. Raises OSError where the disk fails.

    `length` is the number of bytes that are there; `earlier` is how many of them were there when it was opened, and
    `restarted` tells whether they were forgotten since.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        self._file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
        self._boot = boot_id()
        record = self._recorded()
        self.etag = record.etag if record else None
        self._synced = 0
        self.length = self.earlier = 0
        self.restarted = False
        self._hash = hashlib.sha256()
        try:
            self._resume(self._trusted(record))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self.unsynced and (kind is None or issubclass(kind, UpdateError)):
                self.sync()
        finally:
            self._file.close()

    @property
    def unsynced(self) -> int:
        """The bytes that a power cut might take."""
        return self.length - self._synced

    def append(self, data: bytes) -> None:
        """Write bytes to the end."""
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self._hash.update(view[:written])
            self.length += written
            view = view[written:]

    def begin(self, etag: str | None) -> None:
        """Write the record of a file before its first bytes, with the server's ETag; an absurd one is left out."""
        plain = etag is not None and len(etag) <= _MOST_ETAG and etag.isascii() and etag.isprintable()
        self.etag = etag if plain else None
        self._record()

    def sync(self) -> None:
        """Make all bytes durable, and then the record that says so."""
        os.fsync(self._file.fileno())
        self._synced = self.length
        self._record()

    def restart(self) -> None:
        """Forget all bytes."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.length = self.earlier = self._synced = 0
        self.restarted = True
        self.begin(None)

    def sha256(self) -> str:
        """Return the digest of the bytes that are there."""
        return self._hash.hexdigest()

    def _trusted(self, record: _Record | None) -> int:
        length = os.fstat(self._file.fileno()).st_size
        if record is None or length > self.size:
            return 0
        if record.boot == self._boot and self._boot:
            self._synced = min(length, record.synced)
            return length
        self._synced = min(length, record.synced)
        return self._synced

    def _resume(self, trusted: int) -> None:
        while self.length < trusted and (data := self._file.read(min(_CHUNK, trusted - self.length))):
            self._hash.update(data)
            self.length += len(data)
        self._file.seek(self.length)
        self._file.truncate()
        self.earlier = self.length
        self._synced = min(self._synced, self.length)

    def _recorded(self) -> _Record | None:
        try:
            with record_of(self.path).open("rb") as file:
                record = _Record(**json.loads(file.read(_MOST_BYTES)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, RecursionError) as error:
            _log.warning("%s cannot be read, so the file is fetched from its start: %s", record_of(self.path), error)
            return None
        if not isinstance(record.boot, str) or type(record.synced) is not int or record.synced < 0:
            return None
        return record if record.etag is None or isinstance(record.etag, str) else None

    def _record(self) -> None:
        record = _Record(self._boot, self._synced, self.etag)
        write_atomic(record_of(self.path), json.dumps(asdict(record)).encode())
