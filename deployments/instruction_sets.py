"""Instruction sets by which INT8 answers differ, and the CPUs that an emulator can imitate."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Literal

InstructionSet = Literal["avx2", "avx512", "avx512_vnni", "neon", "neon_dotprod"]
SATURATING: frozenset[InstructionSet] = frozenset({"avx2", "avx512"})
"""Instruction sets whose 8-bit dot product saturates at 16 bits: weights must keep to 7 bits there."""

Machine = Literal["x86_64", "aarch64"]
CpuName = Literal["Haswell", "Skylake-Client", "EPYC", "cortex-a53", "cortex-a72", "cortex-a76", "neoverse-n1"]


@dataclass(frozen=True)
class Cpu:
    """A CPU by its name in QEMU; `part` is its number in an Arm machine's /proc/cpuinfo."""

    name: CpuName
    machine: Machine
    instruction_set: InstructionSet
    part: str | None = None


CPUS: Mapping[str, Cpu] = {
    cpu.name: cpu
    for cpu in (
        Cpu("Haswell", "x86_64", "avx2"),
        Cpu("Skylake-Client", "x86_64", "avx2"),
        Cpu("EPYC", "x86_64", "avx2"),
        Cpu("cortex-a53", "aarch64", "neon", "0xd03"),
        Cpu("cortex-a72", "aarch64", "neon", "0xd08"),
        Cpu("cortex-a76", "aarch64", "neon_dotprod", "0xd0b"),
        Cpu("neoverse-n1", "aarch64", "neon_dotprod", "0xd0c"),
    )
}
"""CPUs that can be emulated, by name. QEMU runs no AVX-512, so devices of that class are measured on a real machine."""


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
