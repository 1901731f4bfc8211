"""The spool of a device: reports that wait to be sent, in files of the state folder, and the numbers that they got.

A number is written down durably, twice, before its report is: a power cut may leave a gap, and never gives a number
twice. The spool is bounded; what is oldest leaves when it is full, and the gap between numbers tells of it.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import ReportError
from edge_runtime.files import fsync_directory, make_directories, open_regular, write_atomic
from edge_runtime.reports.field_report import MOST_NUMBER, MOST_REPORT_BYTES
from edge_runtime.statistics import StrictRecord, strict_json
from edge_runtime.update import HeldBack, exclusive

SPOOL = "reports"
"""The spool's folder, below the state folder."""
MOST_REPORTS = 500
MOST_BYTES = 8 << 20
WAIT_S = 10.0
"""Seconds that a command waits for another one that is at work in the spool."""
_NUMBERS = ("number.json", "number.json.copy")
_LOCK = "spool.lock"
_NAME = re.compile(r"([0-9]{12})\.(json|refused)")
_log = logging.getLogger("edgewright")


@dataclass(frozen=True)
class SpooledReport:
    """A report that waits: its number and its file; a refused one is not sent again by itself."""

    number: int
    path: Path
    refused: bool

    def read(self) -> bytes:
        """Return the envelope, at most one byte more than it may have. Raises OSError."""
        with open_regular(self.path) as file:
            return file.read(MOST_REPORT_BYTES + 1)


class ReportSpool:
    """The reports of one device. Only whoever holds `alone` may add to it or take from it."""

    def __init__(self, folder: Path, most_reports: int = MOST_REPORTS, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder
        self._most_reports, self._most_bytes = most_reports, most_bytes

    @contextmanager
    def alone(self, wait_s: float = WAIT_S) -> Iterator[None]:
        """Hold the spool for the block. Raises ReportError where another process holds it all the time."""
        make_directories(self.folder)
        with ExitStack() as held:
            try:
                held.enter_context(exclusive(self.folder / _LOCK, wait_s))
            except HeldBack as error:
                raise ReportError(
                    f"Another process is at work in {self.folder}; try again when it has ended."
                ) from error
            yield

    def begin(self) -> None:
        """Begin to count, for a key that is about to be made; numbers that were given go on."""
        make_directories(self.folder)
        if self._given() is None:
            self._give(0, {})

    def add(self, make: Callable[[int], bytes], note: Mapping[str, Any]) -> int:
        """Take the next number, with a note of JSON beside it, and keep the envelope that `make` returns, durably.

        Raises ReportError where it is not known which numbers were given, and OSError where the disk fails; a number
        that was taken then is not given again.
        """
        given = self._given()
        if given is None:
            raise ReportError(
                f"{self.folder}: expected the number of the last report, got none that can be read. A number must not "
                "be given twice: remove the device's key and this folder, run `reports key`, and enrol the device "
                "again."
            )
        number = given + 1
        if number > MOST_NUMBER:
            raise ReportError(f"{self.folder}: expected a number up to {MOST_NUMBER}, got {number}.")
        self._give(number, note)
        envelope = make(number)
        self._make_room(len(envelope))
        write_atomic(self.folder / f"{number:012d}.json", envelope)
        return number

    def waiting(self, *, refused: bool = False) -> list[SpooledReport]:
        """Return the reports that wait, the oldest first; with `refused` also those that a server did not take."""
        return [each for each in self._all() if refused or not each.refused]

    def remove(self, report: SpooledReport) -> None:
        """Forget a report that arrived. A cut may bring it back, and it is then sent again."""
        with suppress(FileNotFoundError):
            report.path.unlink()

    def refuse(self, report: SpooledReport) -> None:
        """Keep a report that a server does not take, but do not send it again by itself."""
        report.path.replace(report.path.with_suffix(".refused"))
        fsync_directory(self.folder)

    def last_note(self) -> dict[str, Any]:
        """Return the note beside the last number; an empty one where there is none."""
        return self._noted()[1]

    def last_number(self) -> int:
        """Return the last number that was given; 0 where none was, or where that is not known."""
        return self._given() or 0

    def clean(self) -> None:
        """Remove what a kill has left of files that were being written."""
        for path in self.folder.glob(".*.tmp"):
            with suppress(FileNotFoundError):
                path.unlink()

    def _all(self) -> list[SpooledReport]:
        paths = list(self.folder.iterdir()) if self.folder.is_dir() else []
        found = ((path, _NAME.fullmatch(path.name)) for path in paths)
        reports = (SpooledReport(int(name[1]), path, name[2] == "refused") for path, name in found if name)
        return sorted(reports, key=lambda report: report.number)

    def _make_room(self, size: int) -> None:
        """Drop the oldest reports until another one fits."""
        kept = self._all()
        sizes = [_size_of(report.path) for report in kept]
        while kept and (len(kept) + 1 > self._most_reports or sum(sizes) + size > self._most_bytes):
            _log.warning("%s is full: report %d leaves unsent", self.folder, kept[0].number)
            self.remove(kept.pop(0))
            sizes.pop(0)

    def _given(self) -> int | None:
        """Return the last number that was given; None where neither file of it can be read."""
        number, _ = self._noted()
        return None if number is None else max([number, *(report.number for report in self._all())])

    def _noted(self) -> tuple[int | None, dict[str, Any]]:
        found = [read for name in _NUMBERS if (read := self._read_number(self.folder / name)) is not None]
        return max(found, key=lambda read: read[0], default=(None, {}))

    def _read_number(self, path: Path) -> tuple[int, dict[str, Any]] | None:
        try:
            with open_regular(path) as file:
                document = strict_json(file.read(MOST_REPORT_BYTES), str(path))
            record = StrictRecord(document, str(path), ("number", "note"))
            note = record.value("note")
            return record.whole("number", 0, MOST_NUMBER), note if isinstance(note, dict) else {}
        except FileNotFoundError:
            return None
        except (OSError, ReportError) as error:
            _log.error("%s cannot be read: %s", path, error)
            return None

    def _give(self, number: int, note: Mapping[str, Any]) -> None:
        data = (json.dumps({"number": number, "note": dict(note)}, sort_keys=True) + "\n").encode()
        for name in _NUMBERS:
            write_atomic(self.folder / name, data)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
