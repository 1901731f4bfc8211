"""Folders of unfinished work: locked while their process lives, so that what a killed one left is told and removed."""

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_runtime.files import make_directories

UNFINISHED = ".tmp-"
_open: list[Path] = []  # the scratch folders that this process is in, the newest last
_outside: tuple[str | None, str | None] = (None, None)  # tempfile's folder and TMPDIR before the first of them


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder beside `folder`, locked while its process lives, so that clean_leftovers leaves it alone."""
    work, lock = _make_locked(folder)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(lock)


@contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """Yield a folder below `root` that takes all temporary files of this process, its libraries and its children.

    It is removed at the end; what killed processes left below `root` is removed at the beginning. Blocks may be nested
    and may overlap in threads: the newest that is open takes the files.
    """
    make_directories(root)
    _clean(root.glob(f"{UNFINISHED}*"))
    with work_folder(root / "run") as folder:
        _enter(folder)
        try:
            yield folder
        finally:
            _leave(folder)


def clean_leftovers(root: Path) -> None:
    """Remove the unfinished work of killed processes; work of running processes is locked and stays."""
    _clean(root.glob(f"*/{UNFINISHED}*"))


def _enter(folder: Path) -> None:
    global _outside  # noqa: PLW0603 - the folder for temporary files is the process's
    if not _open:
        _outside = tempfile.tempdir, os.environ.get("TMPDIR")
    _open.append(folder)
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)


def _leave(folder: Path) -> None:
    _open.remove(folder)
    if _open:
        tempfile.tempdir = os.environ["TMPDIR"] = str(_open[-1])
        return
    tempfile.tempdir, variable = _outside
    if variable is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = variable


def _make_locked(folder: Path) -> tuple[Path, int]:
    while True:
        work = folder.with_name(f"{UNFINISHED}{folder.name}-{secrets.token_hex(4)}")
        work.mkdir()
        lock = _lock(work)
        if lock is not None and work.is_dir():
            return work, lock
        if lock is not None:  # taken for a leftover before it was locked
            os.close(lock)


def _lock(work: Path) -> int | None:
    """Lock a folder; return None where another process holds it or has removed it."""
    try:
        descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _clean(works: Iterable[Path]) -> None:
    for work in works:
        lock = _lock(work)
        if lock is not None:
            shutil.rmtree(work, ignore_errors=True)
            os.close(lock)
