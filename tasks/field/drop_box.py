"""The drop box that devices put their reports into, as BOX/DEVICE/NUMBER.json.

Anybody may write there, and nobody is trusted. Nothing is read before its size was looked at, no link is followed, no
FIFO is waited for, and each run opens a bounded number of files. Other names are counted and never opened.
"""

import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from edge_runtime.files import open_regular
from edge_runtime.reports import MOST_REPORT_BYTES
from tasks.errors import DropBoxError

_DEVICE = re.compile(r"[0-9a-f]{64}")
_REPORT = re.compile(r"([0-9]{12})\.json")
_HIDDEN = "."


@dataclass(frozen=True)
class BoxLimits:
    """Bounds of one run: the files that are opened of each device, the names and the folders that are looked at."""

    files: int = 1000
    names: int = 200_000
    folders: int = 100_000


@dataclass(frozen=True)
class Waiting:
    """Numbers of the reports of one device that a run opens: `new` ones, and `known` ones, to compare their bytes.

    `left` new ones are not opened in this run, and `strange` files have other names. `is_whole` is false where the
    folder has more names than a run looks at.
    """

    new: tuple[int, ...] = ()
    known: tuple[int, ...] = ()
    left: int = 0
    strange: int = 0
    is_whole: bool = True


class ReportBox:
    """A folder in the layout of a drop box. Raises DropBoxError where there is no folder."""

    def __init__(self, folder: Path, limits: BoxLimits | None = None) -> None:
        self.folder, self.limits = folder, limits or BoxLimits()
        if not folder.is_dir():
            got = "a file" if folder.exists() else "nothing there"
            raise DropBoxError(
                f"{folder}: expected a folder with the reports of devices, BOX/DEVICE/NUMBER.json, got {got}; name the "
                "folder that devices put their reports into"
            )

    def waiting(self, device: str, taken: Collection[int], after: int) -> Waiting:
        """Return the reports of a device that a run opens; those numbered above `after` come first, then the others.

        What is left over is opened by a later run, which says where this one stopped. Raises DropBoxError, OSError.
        """
        names = _names(self.folder / device)
        looked_at = [name for name in islice(names, self.limits.names) if not name.startswith(_HIDDEN)]
        read = [_REPORT.fullmatch(name) for name in looked_at]
        numbers = {int(found[1]) for found in read if found is not None} - {0}
        new = sorted(numbers.difference(taken), key=lambda number: (number <= after, number))
        opened = new[: self.limits.files]
        known = sorted(numbers.intersection(taken), reverse=True)[: self.limits.files - len(opened)]
        strange = len(looked_at) - len(numbers)
        return Waiting(tuple(opened), tuple(known), len(new) - len(opened), strange, next(names, None) is None)

    def read(self, device: str, number: int) -> bytes | None:
        """Return the bytes of a report, None where it is gone. Raises DropBoxError for one that is not to be read."""
        path = self.folder / device / name_of(number)
        try:
            _check_folder(path.parent)
            with open_regular(path) as file:
                size = os.fstat(file.fileno()).st_size
                data = file.read(MOST_REPORT_BYTES + 1) if size <= MOST_REPORT_BYTES else b""
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DropBoxError(f"expected a regular file that can be read, got: {error.strerror}") from error
        if max(size, len(data)) > MOST_REPORT_BYTES:
            raise DropBoxError(f"expected at most {MOST_REPORT_BYTES:,} bytes, got {max(size, len(data)):,}; not read")
        return data

    def strangers(self, enrolled: Collection[str]) -> int:
        """Count the folders of keys that nobody enrolled, up to a bound."""
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in islice(entries, self.limits.folders)]
        return sum(_DEVICE.fullmatch(name) is not None and name not in enrolled for name in names)


def name_of(number: int) -> str:
    """Return the name of the file of a report."""
    return f"{number:012d}.json"


def _names(folder: Path) -> Iterator[str]:
    """Yield the names in a device's folder; none where the device has put nothing there yet. Raises DropBoxError."""
    try:
        _check_folder(folder)
    except FileNotFoundError:
        return
    with os.scandir(folder) as entries:
        yield from (entry.name for entry in entries)


def _check_folder(folder: Path) -> None:
    if not stat.S_ISDIR(os.lstat(folder).st_mode):
        raise DropBoxError(f"expected a folder {folder.name}, got a link or a file; see who can write into the box")
