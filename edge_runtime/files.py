"""Files that survive a crash: hashed as a stream, written to a temporary name, synced, renamed.

Files that others wrote are opened by `open_regular`, which follows no link and waits for nobody.
"""

import errno
import hashlib
import io
import os
import secrets
import stat
from pathlib import Path

CHUNK = 1 << 20


def sha256_of(path: Path | str) -> str:
    """Return the sha256 of a file as 64 hex digits, read as a stream."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_regular(path: Path | str) -> io.BufferedReader:
    """Open a regular file for reading; a link, a FIFO, a device, a socket and a folder are an OSError at once."""
    _check_regular(os.lstat(path))
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_regular(os.fstat(descriptor))  # it may have been replaced since
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")


def fsync_directory(path: Path | str) -> None:
    """Make the names in a directory durable; a rename is safe only after this."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path | str, data: bytes) -> None:
    """Create a file that must not exist yet, and sync its content."""
    with Path(path).open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_atomic(path: Path | str, data: bytes) -> None:
    """Replace a file in one step: a reader sees the old content or the new one, never a part."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        write_synced(temporary, data)
        os.replace(temporary, path)  # noqa: PTH105 - the call that the guarantee rests on
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def copy_synced(source: Path | str, target: Path | str) -> str:
    """Copy a file to a name that must not exist yet, sync it, and return the sha256 of what was written."""
    digest = hashlib.sha256()
    with Path(source).open("rb") as reader, Path(target).open("xb") as writer:
        while chunk := reader.read(CHUNK):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


def make_directories(path: Path | str) -> None:
    """Make a directory and its missing parents, each one durable in its own parent."""
    path = Path(path)
    if path.is_dir():
        return
    make_directories(path.parent)
    path.mkdir(exist_ok=True)
    fsync_directory(path.parent)
