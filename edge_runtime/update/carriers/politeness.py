"""Patience with a server: what fails is asked again later and later, at most five times an hour, across runs.

A path that is not there (404) and a server that fails (5xx, refused connections, silence) are remembered in a file with
their failures. The wait doubles from one failure to the next, with jitter, so that a fleet does not come at once.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_runtime.update.carriers.aged_file import AgedFile, Moment

MOST_AN_HOUR = 5
_HOUR_S = 3600.0
_FIRST_WAIT_S = 60.0
_JITTER = 0.5
_LONGEST_S = {True: 900.0, False: 3600.0}  # by `absent`: new metadata begins with a 404 that is normal
_LONGEST_RETRY_AFTER_S = 86400.0
_FORGOTTEN_S = 7 * 86400.0
_MOST_ENTRIES = 200


@dataclass(frozen=True)
class _Trouble:
    """Failures of a path or a server: how many in a row, their ages, and the wait after the last one, in seconds."""

    failures: int
    ages: tuple[float, ...]
    wait_s: float
    absent: bool

    def older(self, seconds: float) -> "_Trouble":
        return replace(self, ages=tuple(age + seconds for age in self.ages))

    def left_s(self) -> float:
        """Return the seconds until it may be asked again."""
        left = self.wait_s - min(self.ages, default=math.inf)
        recent = sorted(age for age in self.ages if age < _HOUR_S)
        if len(recent) >= MOST_AN_HOUR:
            left = max(left, _HOUR_S - recent[MOST_AN_HOUR - 1])
        return max(0.0, left)


class Politeness:
    """Failures by key, which is a path, or a server for what concerns all of its paths."""

    def __init__(
        self, path: Path, now: Callable[[], Moment] = Moment.now, uniform: Callable[[], float] = random.random
    ) -> None:
        self._file, self._now, self._uniform = AgedFile(path, now), now, uniform
        content, age = self._file.read()
        found = {key: _read(value) for key, value in content.items()}
        self._troubles = {key: trouble.older(age) for key, trouble in found.items() if trouble is not None}
        self._at = now()

    def wait_s(self, key: str) -> float:
        """Return the seconds until a key may be asked again; 0 where it may be asked now."""
        self._grow_older()
        trouble = self._troubles.get(key)
        return trouble.left_s() if trouble else 0.0

    def is_absent(self, key: str) -> bool:
        """Tell whether the last answer about a path was that it is not there."""
        return key in self._troubles and self._troubles[key].absent

    def failed(self, key: str, *, absent: bool = False, retry_after_s: float = 0.0) -> float:
        """Remember a failure, and return the seconds until the next question; what the server asks for is bounded."""
        self._grow_older()
        before = self._troubles.get(key)
        failures = 1 + (before.failures if before else 0)
        ages = (0.0, *(before.ages if before else ()))[:MOST_AN_HOUR]
        longest = _LONGEST_S[absent]
        wait = min(longest, _FIRST_WAIT_S * 2.0 ** min(failures - 1, 10)) * (1 + _JITTER * self._uniform())
        wait = max(wait, min(retry_after_s, _LONGEST_RETRY_AFTER_S))
        self._troubles[key] = _Trouble(failures, ages, wait, absent)
        self._write()
        return self._troubles[key].left_s()

    def succeeded(self, key: str) -> None:
        """End the failures of a key in a row; those of the last hour still count."""
        before = self._troubles.get(key)
        if before is None or (before.failures == 0 and not before.absent):
            return
        self._troubles[key] = replace(before, failures=0, wait_s=0.0, absent=False)
        self._write()

    def remember(self) -> None:
        """Write the ages down: a device that reboots often would otherwise wait for ever where its clock is wrong."""
        if self._troubles:
            self._grow_older()
            self._write()

    def _grow_older(self) -> None:
        now = self._now()
        passed, self._at = now.since(self._at), now
        self._troubles = {key: trouble.older(passed) for key, trouble in self._troubles.items()}

    def _write(self) -> None:
        kept = {key: each for key, each in self._troubles.items() if min(each.ages, default=0.0) < _FORGOTTEN_S}
        places = {key: place for place, key in enumerate(kept)}
        newest = sorted(kept, key=lambda key: (min(kept[key].ages, default=0.0), -places[key]))[:_MOST_ENTRIES]
        self._file.write(
            {
                key: {"failures": t.failures, "ages": list(t.ages), "wait_s": t.wait_s, "absent": t.absent}
                for key, t in ((key, kept[key]) for key in newest)
            }
        )


def _read(value: object) -> _Trouble | None:
    """Return what was written, or None for anything else."""
    if not isinstance(value, Mapping):
        return None
    entry: Mapping[str, Any] = value
    failures, ages, wait_s = entry.get("failures"), entry.get("ages"), entry.get("wait_s")
    if type(failures) is not int or failures < 0 or not isinstance(ages, list) or len(ages) > MOST_AN_HOUR:
        return None
    if not all(_is_time(number) for number in (*ages, wait_s)) or type(entry.get("absent")) is not bool:
        return None
    return _Trouble(
        failures, tuple(map(float, ages)), min(float(wait_s or 0.0), _LONGEST_RETRY_AFTER_S), entry["absent"]
    )


def _is_time(number: object) -> bool:
    return type(number) in (int, float) and math.isfinite(number) and number >= 0  # type: ignore[arg-type, operator]
