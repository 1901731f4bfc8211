"""The instruction sets that saturate, and the CPUs that an emulator can imitate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edge_runtime.cpu import InstructionSet

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
