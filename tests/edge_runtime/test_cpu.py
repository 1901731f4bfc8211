"""This machine's instruction set, from what Linux says of its cores."""

from pathlib import Path

import pytest

from edge_runtime import cpu

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
def test_flags_make_an_instruction_set(machine: str, flags: set[str], expected: str | None) -> None:
    assert cpu.instruction_set_of(machine, flags) == expected


def test_flags_are_those_that_all_cores_have() -> None:
    lines = ["model name\t: A: B", "flags\t\t: avx2 fma", "", "flags\t\t: avx2 fma avx512f"]
    assert cpu.flags_of(lines) == {"avx2", "fma"}
    assert cpu.flags_of(["Features\t: fp asimd", "Features\t: fp asimd asimddp"]) == {"fp", "asimd"}
    assert cpu.flags_of(["processor : 0"]) == frozenset()


@pytest.mark.parametrize(
    ("text", "machine", "expected"),
    [("flags\t: avx2\n", "x86_64", "avx2"), ("Features\t: asimd\n", "aarch64", "neon"), (None, "x86_64", None)],
)
def test_this_machine_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, machine: str, expected: str | None
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if text is not None:
        cpuinfo.write_text(text)
    monkeypatch.setattr(cpu, "CPUINFO", cpuinfo)
    monkeypatch.setattr("edge_runtime.cpu.platform.machine", lambda: machine)
    cpu.this_instruction_set.cache_clear()
    try:
        assert cpu.this_instruction_set() == expected
    finally:
        cpu.this_instruction_set.cache_clear()


def test_this_cpu_is_known_again_and_another_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = cpu.this_cpu()
    assert cpu.this_cpu() == known and len(known) == 16
    monkeypatch.setattr(cpu, "CPUINFO", tmp_path / "missing")
    assert cpu.this_cpu() != known
