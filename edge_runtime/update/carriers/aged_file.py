"""Small JSON files that know their age, although clocks step and devices reboot.

Within a boot the kernel's clock counts, which nobody sets. Across a reboot the wall clock counts where it is plausible
on both sides; else the time since the boot, which is a lower bound. A device with a wrong clock therefore waits too
long rather than too short, and since a file's age is carried on whenever it is written, it does not wait for ever.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_runtime.files import write_atomic

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PLAUSIBLE_S = 1735689600.0  # 2025-01-01: a device without a battery starts in 1970
_MOST_BYTES = 1 << 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moment:
    """A moment by three clocks: the boot's id, seconds since the boot (sleep included), seconds since 1970."""

    boot: str
    uptime_s: float
    wall_s: float

    @classmethod
    def now(cls) -> "Moment":
        """Return this moment."""
        return cls(boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time())

    def since(self, earlier: "Moment") -> float:
        """Return the seconds that have passed at least since an earlier moment; never below 0."""
        if self.boot == earlier.boot and self.uptime_s >= earlier.uptime_s:
            return self.uptime_s - earlier.uptime_s
        if min(self.wall_s, earlier.wall_s) < _PLAUSIBLE_S:
            return self.uptime_s
        return max(self.wall_s - earlier.wall_s, self.uptime_s)


def boot_id() -> str:
    """Return the id of this boot; an empty text where the kernel does not tell it."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


class AgedFile:
    """A JSON object in a file, and the seconds that have passed since it was written.

    A file that cannot be read counts as none, with a warning: it costs no more than a day's bytes or an early question.
    """

    def __init__(self, path: Path, now: Callable[[], Moment] = Moment.now) -> None:
        self._path, self._now = path, now

    def read(self) -> tuple[dict[str, Any], float]:
        """Return the object and its age in seconds; an empty one and 0 where there is none."""
        try:
            with self._path.open("rb") as file:
                document = json.loads(file.read(_MOST_BYTES))
            content, written = document["content"], Moment(**document["written"])
            if not isinstance(content, dict) or not all(map(math.isfinite, (written.uptime_s, written.wall_s))):
                raise ValueError("expected an object with a moment")
        except FileNotFoundError:
            return {}, 0.0
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            _log.warning("%s cannot be read and is begun anew: %s", self._path, error)
            return {}, 0.0
        return content, self._now().since(written)

    def write(self, content: Mapping[str, Any]) -> None:
        """Replace the object. Raises OSError where the disk fails."""
        document = {"content": dict(content), "written": asdict(self._now())}
        write_atomic(self._path, (json.dumps(document, sort_keys=True) + "\n").encode())
