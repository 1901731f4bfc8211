"""The durable metadata of a device: read as far as it is whole, written so that no power cut leaves less than before.

FOLDER/lock                              held while one process verifies
FOLDER/metadata/root_history/N.root.json every root from the shipped one on
FOLDER/metadata/ROLE.json                timestamp, snapshot, targets and delegated roles, as they were fetched
FOLDER/time_floor.json                   the verified timestamp that was signed last
FOLDER/scratch                           where python-tuf works, which syncs nothing; removed before each use
"""

import errno
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tuf.api.exceptions import RepositoryError, StorageError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from edge_runtime.errors import TrustError, UpdateError
from edge_runtime.files import fsync_directory, make_directories, open_regular, write_atomic

MOST_BYTES = 1 << 21  # of one file of metadata
_DAMAGED = {errno.ENOENT, errno.EINVAL, errno.ELOOP, errno.EIO, errno.EUCLEAN}
_ROOT = re.compile(r"root_history/([1-9][0-9]{0,8})\.root\.json")
_POLL_S = 0.05

Files = Mapping[str, bytes]
"""Files of metadata by name, such as `root_history/1.root.json`, `timestamp.json` and `device-gateway.json`."""


class MetadataStore:
    """The folder in which a device keeps verified metadata.

    What is read from it is what is whole; a file that is missing, cut short or damaged counts as none, and the next
    commit replaces it. Roots are written first, in the order of their versions, so that they always form a chain. The
    timestamp is next: from then on nothing older is accepted, whether the files it leads to are written or not.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        self._metadata = self._folder / "metadata"
        self._stamp = self._folder / "time_floor.json"
        self._scratch = self._folder / "scratch"

    @contextmanager
    def alone(self, longest_wait_s: float) -> Iterator[None]:
        """Hold the folder's lock, which the kernel frees when the process ends in any way.

        Raises UpdateError where another process has it for longer than the longest wait.
        """
        make_directories(self._metadata / "root_history")
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            self._lock(descriptor, longest_wait_s)
            self._clean()
            yield
            self._remove_scratch()
        finally:
            os.close(descriptor)

    def read(self) -> dict[str, bytes]:
        """Return all files of metadata that are whole."""
        return _whole_files(self._metadata)

    def read_stamp(self) -> bytes | None:
        """Return the timestamp that holds the floor of time, None where there is none that is whole."""
        return _whole("timestamp.json", self._stamp)

    def lay_out(self, files: Files) -> Path:
        """Return a new folder with copies of files for python-tuf to work in; the one before is gone."""
        self._remove_scratch()
        (self._scratch / "root_history").mkdir(parents=True)
        for name, data in files.items():
            (self._scratch / name).write_bytes(data)
        return self._scratch

    def read_scratch(self) -> dict[str, bytes]:
        """Return the whole files that python-tuf left in its folder, with the roots up to the one that it trusts."""
        try:
            trusted = Metadata[Root].from_file(str(self._scratch / "root.json")).signed.version
        except (StorageError, RepositoryError):
            return {}
        return {name: data for name, data in _whole_files(self._scratch).items() if root_version(name) <= trusted}

    def commit(self, files: Files) -> None:
        """Make files durable, in the order that is safe at any cut; what is here already is not written again.

        Roots beyond the newest of the files are of another repository's chain, and are removed.
        """
        self._remove_roots_above(max((root_version(name) for name in files), default=0))
        for name in sorted(files, key=_order):
            if _whole(name, self._metadata / name) != files[name]:
                write_atomic(self._metadata / name, files[name])
        for folder in (self._metadata / "root_history", self._metadata):
            fsync_directory(folder)  # a process that was killed may have renamed a file and not come further

    def keep_stamp(self, data: bytes) -> None:
        """Make a timestamp durable as the one that holds the floor of time."""
        if self.read_stamp() != data:
            write_atomic(self._stamp, data)
        fsync_directory(self._folder)

    def _remove_roots_above(self, version: int) -> None:
        history = self._metadata / "root_history"
        versions = {path: root_version(f"root_history/{path.name}") for path in history.iterdir()}
        above = sorted((path for path in versions if versions[path] > version > 0), key=lambda path: -versions[path])
        for path in above:
            path.unlink()
        if above:
            fsync_directory(history)

    def _lock(self, descriptor: int, longest_wait_s: float) -> None:
        deadline = time.monotonic() + longest_wait_s
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UpdateError(
                        f"One process at a time may use {self._folder}; another has held its lock for "
                        f"{longest_wait_s:g} s. Wait for it, or end it (fuser, lsof), and try again."
                    ) from None
            time.sleep(_POLL_S)

    def _clean(self) -> None:
        """Remove what a process that was killed has left half written."""
        self._remove_scratch()
        for folder in (self._folder, self._metadata, self._metadata / "root_history"):
            for path in folder.glob(".*.tmp"):
                path.unlink()

    def _remove_scratch(self) -> None:
        if self._scratch.exists():
            shutil.rmtree(self._scratch)


def root_version(name: str) -> int:
    """Return the version that the name of a root file says, 0 for other files."""
    found = _ROOT.fullmatch(name)
    return int(found[1]) if found else 0


def _order(name: str) -> tuple[int, int, str]:
    top = ("timestamp.json", "snapshot.json", "targets.json")
    if version := root_version(name):
        return (0, version, "")
    return (1 + top.index(name) if name in top else 4, 0, name)


def _whole_files(folder: Path) -> dict[str, bytes]:
    names = [path.name for path in folder.glob("*.json") if path.name != "root.json"]
    names += [f"root_history/{path.name}" for path in (folder / "root_history").glob("*.root.json")]
    found = {name: _whole(name, folder / name) for name in sorted(names)}
    return {name: data for name, data in found.items() if data is not None}


def _whole(name: str, path: Path) -> bytes | None:
    """Return a file's bytes, None unless they are metadata of the type that the name says."""
    data = _bytes_of(path)
    try:
        metadata = Metadata.from_bytes(data) if data else None
    except RepositoryError:
        return None
    version = root_version(name)
    if metadata is None or metadata.signed.type != _type_of(name) or version not in (0, metadata.signed.version):
        return None
    return data


def _type_of(name: str) -> str:
    if root_version(name):
        return Root.type
    return {"timestamp.json": Timestamp.type, "snapshot.json": Snapshot.type}.get(name, Targets.type)


def _bytes_of(path: Path) -> bytes | None:
    try:
        with open_regular(path) as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        if error.errno in _DAMAGED:
            return None
        raise TrustError(  # what cannot be read for another reason is not forgotten
            f"The metadata {path} must be a file that this process may read, got: {error.strerror}; mend that."
        ) from error
    return data if len(data) <= MOST_BYTES else None
