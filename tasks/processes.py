"""Processes by what no other process shares: their host since it booted, their number and their start."""

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_AFTER_NAME = 19  # fields between the name in /proc/PID/stat and the time of start (proc(5), field 22)


@dataclass(frozen=True)
class Process:
    """A process: `host` is the machine's name with the id of its boot, `started` is in clock ticks since then."""

    host: str
    pid: int
    started: int

    @classmethod
    def this(cls) -> "Process":
        """Return the process that asks."""
        return cls(_host(), os.getpid(), _started(os.getpid()) or 0)

    @property
    def is_gone(self) -> bool:
        """True where it was on this host and has ended; nothing is known of other hosts."""
        name, _, boot = self.host.partition(" ")
        here, _, now = _host().partition(" ")
        if name != here:
            return False
        return boot != now or _started(self.pid) != self.started

    def __str__(self) -> str:
        """Write it for people."""
        return f"process {self.pid} on {self.host.partition(' ')[0]}"


@cache
def _host() -> str:
    try:
        boot = BOOT_ID.read_text().strip()
    except OSError:
        boot = ""
    return f"{socket.gethostname()} {boot}"


def _started(pid: int) -> int | None:
    """Return the start of a process; None where there is none, or one that has ended and was not waited for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[_AFTER_NAME - 1])
