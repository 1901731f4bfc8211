"""This machine's class, from what Linux says of its cores."""

from pathlib import Path

import pytest

from tasks.emulation import availability as here
from tasks.emulation.availability import flags_of, instruction_set_here


def test_flags_are_those_that_all_cores_have() -> None:
    lines = ["model name\t: A: B", "flags\t\t: avx2 fma", "", "flags\t\t: avx2 fma avx512f"]
    assert flags_of(lines) == {"avx2", "fma"}
    assert flags_of(["Features\t: fp asimd", "Features\t: fp asimd asimddp"]) == {"fp", "asimd"}
    assert flags_of(["processor : 0"]) == frozenset()


@pytest.mark.parametrize(
    ("text", "machine", "expected"),
    [("flags\t: avx2\n", "x86_64", "avx2"), ("Features\t: asimd\n", "aarch64", "neon"), (None, "x86_64", None)],
)
def test_the_class_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, machine: str, expected: str | None
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if text is not None:
        cpuinfo.write_text(text)
    monkeypatch.setattr(here, "CPUINFO", cpuinfo)
    monkeypatch.setattr("tasks.emulation.availability.platform.machine", lambda: machine)
    instruction_set_here.cache_clear()
    try:
        assert instruction_set_here() == expected
    finally:
        instruction_set_here.cache_clear()
