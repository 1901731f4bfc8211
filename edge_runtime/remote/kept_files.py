"""Files that pipelines have sent to this device, by their sha256, so that each is sent once; they go after a while."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from edge_runtime.errors import MeasurementInterrupted
from edge_runtime.files import sha256_of
from edge_runtime.model_files import MODEL

KEPT_S = 3600.0
"""Seconds that a file stays after its last use, where nobody asks for its removal."""
MOST_BYTES = 4 << 30
"""Bytes of files that stay from one connection to the next; those that were not used for longest go first."""
_WORK = "work-"
_STALE_S = 86400.0


class KeptFiles:
    """A folder of this user with files by their sha256, and folders of measurements that are at work.

    Raises MeasurementInterrupted for a folder that is not this user's own.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = root.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise MeasurementInterrupted(
                f"{root}: expected a folder that belongs to this user and that nobody else can write to, got another "
                "one; remove it"
            )

    def has(self, sha256: str) -> bool:
        """Tell whether a file is kept; it then stays for a while."""
        try:
            os.utime(self._root / sha256)
        except OSError:
            return False
        return True

    def take(self, received: Path, sha256: str) -> None:
        """Keep a file under its digest. Raises ValueError where its content has another one."""
        found = sha256_of(received)
        if found != sha256:
            raise ValueError(f"expected a file with the sha256 {sha256}, got {found}")
        received.chmod(0o444)
        received.replace(self._root / sha256)

    def place(self, graph: str, weights: list[str], heads: Mapping[str, str], folder: Path) -> Path:
        """Place a model into a new folder, and return its graph. Raises FileNotFoundError for a file that is gone.

        `heads` has the sha256 of further graphs by the names that they get there. Its files are links to those that are
        kept, so that it stays whole if they are removed.
        """
        folder.mkdir()
        for name, sha256 in {MODEL: graph, **heads, **{each: each for each in weights}}.items():
            os.link(self._root / sha256, folder / name)
        return folder / MODEL

    def work_folder(self) -> Path:
        """Return a new folder for one connection."""
        return Path(tempfile.mkdtemp(prefix=_WORK, dir=self._root))

    def forget(self, digests: list[str]) -> None:
        """Remove files that nobody will ask for again."""
        for sha256 in digests:
            (self._root / sha256).unlink(missing_ok=True)

    def clean(self) -> None:
        """Remove what was not used for a while, what is more than MOST_BYTES, and what killed processes left."""
        now, kept = time.time(), 0
        for path in sorted(self._root.iterdir(), key=_last_use, reverse=True):
            with suppress(OSError):
                age = now - _last_use(path)
                if path.is_dir():
                    if age > _STALE_S:
                        shutil.rmtree(path)
                    continue
                kept += path.stat().st_size
                if age > KEPT_S or kept > MOST_BYTES:
                    path.unlink()


def _last_use(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
