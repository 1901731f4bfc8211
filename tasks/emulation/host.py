"""What this machine's CPU has."""

import platform
from functools import cache
from pathlib import Path

from deployments.instruction_sets import InstructionSet, instruction_set_of

CPUINFO = Path("/proc/cpuinfo")


@cache
def instruction_set_here() -> InstructionSet | None:
    """The instruction set of this machine; None where no profile names it, or where it cannot be read."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return None
    return instruction_set_of(platform.machine(), flags_of(lines))


def flags_of(lines: list[str]) -> frozenset[str]:
    """The flags that all cores of a /proc/cpuinfo have: an Arm machine may have cores of two kinds."""
    pairs = (line.partition(":")[::2] for line in lines)
    cores = [frozenset(value.split()) for name, value in pairs if name.strip() in ("flags", "Features")]
    return frozenset.intersection(*cores) if cores else frozenset()
