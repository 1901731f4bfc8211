"""Energy that calls take, from the counters of the CPU that Linux shows; nothing where none can be read.

Source: Linux, Documentation/power/powercap/powercap.rst. A zone `intel-rapl:N` is a package, on AMD's CPUs too, with
the cores and graphics in it; its zone `intel-rapl:N:M` of the name `dram` is the memory beside it. `psys` counts the
whole platform, packages included, and is left out. A counter grows in microjoules and begins again at 0.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
LEAST_S = 0.3  # the counters move about a thousand times a second
_UJ_IN_MJ = 1000


@dataclass(frozen=True)
class CallEnergy:
    """Millijoules of one call, of all packages and of the memory beside them; None where no counter tells."""

    packages_mj: float | None
    memory_mj: float | None


def energy_of_calls(call: Callable[[], object], least_s: float = LEAST_S, root: Path = POWERCAP) -> CallEnergy:
    """Make calls for at least so many seconds and return the energy of one.

    It is that of the whole machine meanwhile: what the machine takes at rest and for other processes is part of it.
    Where no counter is there or may be read, or where it does not move as on many virtual machines, nothing is called.
    """
    packages, memory = _counters(root)
    before = _readings(packages)
    if before is None:
        return CallEnergy(None, None)
    memory_before = _readings(memory)
    calls, deadline = 0, time.perf_counter() + least_s
    while not calls or time.perf_counter() < deadline:
        call()
        calls += 1
    return CallEnergy(_spent_mj(packages, before, calls), _spent_mj(memory, memory_before, calls))


@dataclass(frozen=True)
class _Counter:
    """The counter of a zone, which begins again at 0 behind its range."""

    zone: Path

    def microjoules(self) -> int:
        """Read the counter; raises OSError or ValueError."""
        return int((self.zone / "energy_uj").read_text())

    def since(self, before: int) -> int:
        """Return the microjoules since an earlier reading; raises OSError or ValueError."""
        spent = self.microjoules() - before
        return spent if spent >= 0 else spent + int((self.zone / "max_energy_range_uj").read_text())


def _counters(root: Path) -> tuple[Sequence[_Counter], Sequence[_Counter]]:
    """Return the counters of the packages, and of the memory where each package has one."""
    packages = [zone for zone in sorted(root.glob("intel-rapl:*")) if _named(zone, "package")]
    memory = [part for zone in packages for part in sorted(root.glob(f"{zone.name}:*")) if _named(part, "dram")]
    whole = memory if len(memory) == len(packages) else []
    return [_Counter(zone) for zone in packages], [_Counter(zone) for zone in whole]


def _named(zone: Path, name: str) -> bool:
    try:
        return (zone / "name").read_text().startswith(name)
    except OSError:
        return False


def _readings(counters: Sequence[_Counter]) -> Sequence[int] | None:
    """Read all counters; None where there is none, or one that may not be read: a part of a sum would mislead."""
    try:
        return [counter.microjoules() for counter in counters] or None
    except (OSError, ValueError):
        return None


def _spent_mj(counters: Sequence[_Counter], before: Sequence[int] | None, calls: int) -> float | None:
    if before is None:
        return None
    try:
        spent = sum(counter.since(start) for counter, start in zip(counters, before, strict=True))
    except (OSError, ValueError):
        return None
    return spent / calls / _UJ_IN_MJ if spent else None
