"""Instruction sets: the class of CPU that a machine's flags amount to."""

import pytest

from deployments.instruction_sets import CPUS, SATURATING, instruction_set_of

AVX512 = {"avx2", "avx512f", "avx512bw", "avx512dq", "avx512vl"}


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", {"sse4_2", "avx"}, None),
        ("x86_64", {"avx", "avx2", "fma"}, "avx2"),
        ("x86_64", {"avx2", "avx_vnni"}, None),  # does not saturate, so no `avx2`
        ("x86_64", AVX512, "avx512"),
        ("x86_64", AVX512 | {"avx512_vnni"}, "avx512_vnni"),
        ("x86_64", {"avx2", "avx512f"}, "avx2"),  # ONNX Runtime asks for all four
        ("aarch64", {"fp"}, None),
        ("aarch64", {"fp", "asimd"}, "neon"),
        ("aarch64", {"fp", "asimd", "asimddp"}, "neon_dotprod"),
        ("riscv64", {"avx2", "asimd"}, None),
    ],
)
def test_flags_make_a_class(machine: str, flags: set[str], expected: str | None) -> None:
    assert instruction_set_of(machine, flags) == expected


def test_every_cpu_is_of_its_machines_class() -> None:
    machines = {"neon": "aarch64", "neon_dotprod": "aarch64", "avx2": "x86_64"}
    assert {cpu.machine for cpu in CPUS.values()} == {"x86_64", "aarch64"}
    for name, cpu in CPUS.items():
        assert (name, machines[cpu.instruction_set]) == (cpu.name, cpu.machine)
        assert (cpu.part is not None) == (cpu.machine == "aarch64")
    assert any(cpu.instruction_set in SATURATING for cpu in CPUS.values())
