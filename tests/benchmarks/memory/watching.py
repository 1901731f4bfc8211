"""The memory of a program while it runs, as Linux counts it, and its log's last line where it grew most."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.05
_MIB_IN_KB = 1024


@dataclass(frozen=True)
class SeenMemory:
    """Peaks of a program in MiB: all that is resident, what no file backs, and the largest process that it started.

    `steps` are the log's last lines at which the part that no file backs grew by 32 MiB or more, with what it then was.
    """

    peak_mb: float
    anonymous_mb: float
    child_mb: float
    seconds: float
    steps: tuple[tuple[float, str], ...]


def watch(command: Sequence[str], environment: Mapping[str, str], log: Path) -> SeenMemory:
    """Run a program, whose output goes to a log, and look at it until it ends; raises CalledProcessError."""
    began = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        peak = anonymous = child = 0.0
        steps: list[tuple[float, str]] = []
        while process.poll() is None:
            own = status_of(process.pid)
            peak = max(peak, own.get("VmHWM", 0.0))
            if own.get("RssAnon", 0.0) > anonymous:
                anonymous = own["RssAnon"]
                if anonymous > (steps[-1][0] if steps else 0) + 32:
                    steps.append((anonymous, _last_line(log)))
            child = max([child, *(status_of(each).get("VmRSS", 0.0) for each in programs_of(process.pid))])
            time.sleep(POLL_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output=log.read_text())
    return SeenMemory(peak, anonymous, child, time.perf_counter() - began, tuple(steps))


def status_of(pid: int) -> dict[str, float]:
    """Return the figures of memory of a process in MiB; none where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    named = (line.partition(":") for line in lines)
    return {name: int(value.split()[0]) / _MIB_IN_KB for name, _, value in named if value.endswith(" kB")}


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started and that have not ended; none where it has ended itself."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def programs_of(pid: int) -> list[int]:
    """Return the children of a process that run a program of their own: one that was just forked has its parent's."""
    own = _command(pid)
    return [child for child in children_of(pid) if _command(child) != own]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1].strip() if lines else "starting"
