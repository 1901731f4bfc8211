"""The cap on bytes per day: counted as they are received, and remembered across runs, kills and reboots.

A day is 24 hours of passed time from the first byte on, not a date: a clock that steps gives no second allowance.
Heads and bodies of answers are counted; what TCP and TLS add, some percent, is not. Bytes are booked before they are
asked for, and settled afterwards, so that a kill never makes the count too low.
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path

from edge_runtime.update.carriers.aged_file import AgedFile, Moment
from edge_runtime.update.carriers.troubles import HeldBack

DAY_S = 86400.0
_AHEAD = 1 << 20  # booked at once, so that the file is not written for every small answer


class DailyTraffic:
    """Bytes received in this day against the cap; without a cap nothing is held back and nothing is written."""

    def __init__(self, path: Path, bytes_per_day: int | None, now: Callable[[], Moment] = Moment.now) -> None:
        self._file, self._cap = AgedFile(path, now), bytes_per_day
        self.received = 0
        """Bytes that were received since this object was made."""
        self._used, self._day_s = self._remembered() if bytes_per_day is not None else (0, 0.0)
        self._booked = self._used
        self._at = now
        self._since = now()

    @property
    def left(self) -> int:
        """The bytes that may still be received in this day."""
        return sys.maxsize if self._cap is None else max(0, self._cap - self._used)

    def check(self, count: int) -> None:
        """Book so many bytes before they are asked for; raises HeldBack where fewer are left."""
        if self._cap is None:
            return
        self._begin_next_day()
        if count > self.left:
            self._write(self._used)  # its age is carried on, for devices that reboot often and have no clock
            hours = math.ceil((DAY_S - self._passed()) / 3600)
            raise HeldBack(
                "cap",
                f"expected at most {self._cap} bytes a day, {self._used} were received; the update goes on in about "
                f"{hours} h, or raise network.bytes_per_day.",
            )
        if self._used + count > self._booked:
            self._booked = min(self._cap, self._used + max(count, _AHEAD))
            self._write(self._booked)

    def count(self, received: int) -> None:
        """Count bytes that were received."""
        self.received += received
        self._used += received

    def settle(self) -> None:
        """Write the bytes that were really received, where others are booked."""
        if self._cap is not None and self._booked != self._used:
            self._booked = self._used
            self._write(self._used)

    def _remembered(self) -> tuple[int, float]:
        content, age = self._file.read()
        used, day_s = content.get("received"), content.get("day_s")
        if type(used) is not int or used < 0 or not isinstance(day_s, float) or not math.isfinite(day_s):
            return 0, 0.0
        return (used, day_s + age) if day_s + age < DAY_S else (0, 0.0)

    def _passed(self) -> float:
        return self._day_s + self._at().since(self._since)

    def _begin_next_day(self) -> None:
        if self._used and self._passed() < DAY_S:
            return
        self._used = self._booked = 0
        self._day_s, self._since = 0.0, self._at()

    def _write(self, received: int) -> None:
        self._file.write({"received": received, "day_s": self._passed()})
