"""CPUs that can be emulated: each has its machine's instruction set."""

from deployments.instruction_sets import CPUS, SATURATING


def test_every_cpu_is_of_its_machines_class() -> None:
    machines = {"neon": "aarch64", "neon_dotprod": "aarch64", "avx2": "x86_64"}
    assert {cpu.machine for cpu in CPUS.values()} == {"x86_64", "aarch64"}
    for name, cpu in CPUS.items():
        assert (name, machines[cpu.instruction_set]) == (cpu.name, cpu.machine)
        assert (cpu.part is not None) == (cpu.machine == "aarch64")
    assert any(cpu.instruction_set in SATURATING for cpu in CPUS.values())
