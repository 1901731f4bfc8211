"""Object stores: the places that a signed repository and the claims of release numbers are kept in.

A name is created once, whole and for good, and only one of many who try gets it. A name that is replaced is compared
first, so that two who replace it at once do not undo each other's work. No store needs locks of its clients.
"""

import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_runtime.files import copy_synced, fsync_directory, make_directories, open_regular, write_synced
from tasks.errors import SystemFailure, one_line
from tasks.processes import Process, has_ended_by_mark
from tasks.workspace import S3

TEMPORARY = ".tmp-"
LOCK = ".lock"
LEFT_FOR_S = 3600.0
"""Seconds after which a temporary file is left over, where nobody can see whether its writer lives."""
LOCK_S = 60.0
LOOK_S = 0.02
_NAME = re.compile(r"(?:[A-Za-z0-9._-]+/)*[A-Za-z0-9._-]+")


class ObjectStore(Protocol):
    """A place for objects under names like `metadata/1.root.json`. Every method raises SystemFailure where it fails."""

    @property
    def address(self) -> str:
        """The place as people write it: the path of a folder, or s3://BUCKET/PREFIX."""

    def create(self, name: str, content: bytes | Path) -> bool:
        """Create an object that must not exist yet, whole and durable; False where the name is taken."""

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """Return an object of at most so many bytes; None where there is none."""

    def fetch(self, name: str, path: Path) -> bool:
        """Copy an object into a new file; False where there is none."""

    def replace(self, name: str, content: bytes, over: bytes | None) -> bool:
        """Replace an object whose content is `over`, None for no object; False where it is something else by now."""

    def names(self, folder: str) -> list[str]:
        """Return the names of the objects that lie directly in a folder, without the folder, in their order."""

    def size(self, name: str) -> int | None:
        """Return the bytes of an object; None where there is none."""

    def remove(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""

    def tidy(self, folder: str) -> None:
        """Remove what writers left in a folder that were killed."""


def open_store(address: str | Path) -> ObjectStore:
    """Return the store at an address: s3://BUCKET/PREFIX, or the path of a folder."""
    if not str(address).startswith(S3):
        return FolderObjects(Path(address))
    try:
        from tasks.repository.s3_objects import S3Objects
    except ImportError as error:
        raise SystemFailure(
            f"{address}: expected the packages for S3, got {one_line(error)}; pip install 'edgewright[s3]'"
        ) from error
    return S3Objects(str(address))


def check_name(name: str) -> None:
    """Raise SystemFailure for a name that could leave its store or would be read as something else."""
    if not _NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
        raise SystemFailure(
            f"{name!r}: expected the name of an object, of letters, digits, dots, dashes and underscores with slashes "
            "between them; rename what it is made from"
        )


@dataclass(frozen=True)
class FolderObjects:
    """Objects as files of a folder, on a file system with hard links, atomic renames and locks."""

    root: Path

    @property
    def address(self) -> str:
        """The folder's path."""
        return str(self.root)

    def create(self, name: str, content: bytes | Path) -> bool:
        """Write a temporary file, sync it, and link it to the name: the file system lets only one of many do that."""
        path = self._path(name)
        with self._telling(name, "expected to write it, got a folder that cannot be written to"):
            make_directories(path.parent)
            if os.path.lexists(path):
                fsync_directory(path.parent)  # whoever created it may have been killed before this
                return False
            with _temporary(path.parent) as whole:
                _write(whole, content)
                try:
                    os.link(whole, path)
                except FileExistsError:
                    return False
                finally:
                    fsync_directory(path.parent)
        return True

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """Read a regular file; nothing is followed or waited for."""
        with self._telling(name, "expected a file that can be read"):
            try:
                with open_regular(self._path(name)) as file:
                    content = file.read(most_bytes + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None
        check_length(f"{self.root}/{name}", len(content), most_bytes)
        return content

    def fetch(self, name: str, path: Path) -> bool:
        """Copy a regular file."""
        with self._telling(name, f"expected to copy it to {path}"):
            try:
                with open_regular(self._path(name)) as file, path.open("xb") as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)
            except FileNotFoundError:
                return False
        return True

    def replace(self, name: str, content: bytes, over: bytes | None) -> bool:
        """Rename a synced file over another under the folder's lock, which the kernel frees at a kill."""
        path = self._path(name)
        with self._telling(name, "expected to replace it, got a folder that cannot be written to"):
            make_directories(path.parent)
            with self._locked():
                found = path.read_bytes() if path.is_file() else None
                if found != over:
                    return False
                with _temporary(path.parent) as whole:
                    write_synced(whole, content)
                    os.replace(whole, path)  # noqa: PTH105 - the call that the guarantee rests on
                    fsync_directory(path.parent)
        return True

    def names(self, folder: str) -> list[str]:
        """List a folder, without folders in it and without hidden files."""
        with self._telling(folder, "expected a folder that can be listed"), suppress(FileNotFoundError):
            found = os.scandir(self.root / folder)
            with found:
                return sorted(
                    each.name
                    for each in found
                    if not each.name.startswith(".") and not each.is_dir(follow_symlinks=False)
                )
        return []

    def size(self, name: str) -> int | None:
        """Look at a file's size."""
        with self._telling(name, "expected a file that can be looked at"):
            try:
                return self._path(name).lstat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def remove(self, name: str) -> None:
        """Remove a file, and sync its folder."""
        path = self._path(name)
        with self._telling(name, "expected to remove it"), suppress(FileNotFoundError):
            path.unlink()
            fsync_directory(path.parent)

    def tidy(self, folder: str) -> None:
        """Remove the temporary files of writers that have ended; where nobody can see that, after an hour."""
        for path in (self.root / folder).glob(f"{TEMPORARY}*"):
            with suppress(OSError):
                if _is_left(path):
                    path.unlink()

    def _path(self, name: str) -> Path:
        check_name(name)
        return self.root / name

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the folder, for which others are waited for a minute at most."""
        descriptor = os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            deadline = time.monotonic() + LOCK_S
            while not _took(descriptor):
                if time.monotonic() > deadline:
                    raise SystemFailure(
                        f"{self.root / LOCK}: expected its holder to be done within {LOCK_S:g} s, got none that is; "
                        "find the process that has this file open, and end it"
                    )
                time.sleep(LOOK_S)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _telling(self, name: str, expected: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SystemFailure(
                f"{self.root}/{name}: {expected}: {one_line(error)}; cure the cause and run again"
            ) from error


def check_length(name: str, found: int, most_bytes: int) -> None:
    """Raise SystemFailure for an object that is longer than any of its kind."""
    if found > most_bytes:
        raise SystemFailure(
            f"{name}: expected at most {most_bytes} bytes, got more; see who wrote it, and restore what was there"
        )


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """Yield a name that says who writes, and remove it at the end; a kill leaves it for `tidy`."""
    path = folder / f"{TEMPORARY}{Process.this().mark}-{secrets.token_hex(8)}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _write(path: Path, content: bytes | Path) -> None:
    if isinstance(content, bytes):
        write_synced(path, content)
    else:
        copy_synced(content, path)


def _is_left(path: Path) -> bool:
    ended = has_ended_by_mark(path.name.removeprefix(TEMPORARY).rpartition("-")[0])
    return time.time() - path.lstat().st_mtime > LEFT_FOR_S if ended is None else ended


def _took(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
