"""The instruction set of this machine, by the name that device profiles and verdicts give it."""

import hashlib
import platform
from collections.abc import Set
from functools import cache
from pathlib import Path
from typing import Literal

InstructionSet = Literal["avx2", "avx512", "avx512_vnni", "neon", "neon_dotprod"]
"""Instruction sets by which INT8 answers differ."""

CPUINFO = Path("/proc/cpuinfo")


@cache
def this_instruction_set() -> InstructionSet | None:
    """Return this machine's instruction set; None where no profile names it or it cannot be read."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return None
    return instruction_set_of(platform.machine(), flags_of(lines))


def this_cpu() -> str:
    """Return a digest of this machine's CPU and its flags: a graph that was tuned for it holds for no other one."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        lines = []
    kept = sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    return hashlib.sha256("\n".join([platform.machine(), *kept]).encode()).hexdigest()[:16]


def flags_of(lines: list[str]) -> frozenset[str]:
    """Return the flags that all cores of a /proc/cpuinfo have: an Arm machine may have cores of two kinds."""
    pairs = (line.partition(":")[::2] for line in lines)
    cores = [frozenset(value.split()) for name, value in pairs if name.strip() in ("flags", "Features")]
    return frozenset.intersection(*cores) if cores else frozenset()


def instruction_set_of(machine: str, flags: Set[str]) -> InstructionSet | None:
    """Return the instruction set of a machine with these flags in /proc/cpuinfo; None where no profile names it.

    An x86 CPU with AVX2 and avx_vnni has no name here: it does not saturate as `avx2` does.
    """
    if machine == "aarch64":
        return "neon_dotprod" if "asimddp" in flags else "neon" if "asimd" in flags else None
    if machine != "x86_64":
        return None
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
        return "avx512_vnni" if "avx512_vnni" in flags else "avx512"
    return "avx2" if "avx2" in flags and "avx_vnni" not in flags else None
