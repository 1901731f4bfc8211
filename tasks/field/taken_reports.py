"""The record of what was taken of one device's reports: a line for each in a file that only grows, and the last one.

A report counts as taken once its line is on disk. The line is written last, so that a kill at any moment repeats work
and loses none. The record belongs to the key and stays when the device is removed: what was taken stays taken.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from edge_runtime.files import fsync_directory, make_directories, write_atomic
from tasks.errors import RecordDamaged

_TAKEN, _LAST, _AFTER = "taken.jsonl", "last.json", "after"
_LONGEST_LINE = 4096


@dataclass(frozen=True)
class TakenReport:
    """A report that was taken: its number, the sha256 of its envelope, and when, by the device's clock and by ours."""

    number: int
    sha256: str
    made_at: str
    taken_at: str


@dataclass(frozen=True)
class LastReport:
    """The report with the highest number that was taken, in its envelope, and when it came, by our clock."""

    number: int
    taken_at: str
    envelope: str


class TakenReports:
    """The record of one key, in a folder of its own. One process writes it at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> dict[int, TakenReport]:
        """Return what was taken, by number. Raises RecordDamaged for a line that cannot be read."""
        path = self.folder / _TAKEN
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []  # a kill leaves the last line without end
        found: dict[int, TakenReport] = {}
        for at, line in enumerate(lines, start=1):
            try:
                taken = _taken(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise RecordDamaged(
                    f"{path}: expected a report that was taken in line {at}, got {line[:60]!r}; restore the file, or "
                    "remove the line, and the report is taken again if it is still in the box"
                ) from error
            found[taken.number] = taken
        return found

    def add(self, taken: TakenReport) -> None:
        """Add a report; its line is on disk when this returns."""
        make_directories(self.folder)
        path = self.folder / _TAKEN
        is_new = not path.exists()
        with path.open("xb" if is_new else "r+b") as file:
            if not is_new:
                file.truncate(_end_of_whole_lines(file))
            file.seek(0, os.SEEK_END)
            file.write(json.dumps(asdict(taken)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            fsync_directory(self.folder)

    def last(self) -> LastReport | None:
        """Return the last report; None where none was taken. Raises RecordDamaged for a file that cannot be read."""
        path = self.folder / _LAST
        try:
            told = json.loads(path.read_bytes())
            return LastReport(int(told["number"]), str(told["taken_at"]), str(told["envelope"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise RecordDamaged(
                f"{path}: expected the last report of a device, got another content; remove it, and the next report "
                "takes its place"
            ) from error

    def keep_last(self, last: LastReport) -> None:
        """Replace the last report, unless the one that is kept has a higher number."""
        kept = self.last()
        if kept is None or kept.number <= last.number:
            make_directories(self.folder)
            write_atomic(self.folder / _LAST, json.dumps(asdict(last), indent=1).encode())

    @property
    def after(self) -> int:
        """The number after which the next run begins, because an earlier run could not open all; else 0."""
        try:
            return int((self.folder / _AFTER).read_text())
        except (OSError, ValueError):
            return 0

    def go_on_after(self, number: int) -> None:
        """Say after which number the next run begins."""
        if number != self.after:
            make_directories(self.folder)
            write_atomic(self.folder / _AFTER, f"{number}\n".encode())


def missing_ranges(numbers: Mapping[int, object], newly: Mapping[int, object] | None = None) -> list[tuple[int, int]]:
    """Return the numbers that never came between those that did, as first and last; with `newly`, those below them."""
    known = sorted(numbers)
    return [(low + 1, high - 1) for low, high in pairwise(known) if high > low + 1 and (newly is None or high in newly)]


def _taken(told: Mapping[str, object]) -> TakenReport:
    number = told["number"]
    if type(number) is not int:
        raise TypeError("expected a number")
    return TakenReport(number, *(str(told[name]) for name in ("sha256", "made_at", "taken_at")))


def _end_of_whole_lines(file: BinaryIO) -> int:
    """Return the offset after the last whole line: a kill may have left a part of one behind it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_LINE))
    tail = file.read()
    return size - len(tail) + tail.rfind(b"\n") + 1
