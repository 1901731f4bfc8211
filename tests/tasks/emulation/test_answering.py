"""The CPU that answers are taken on, and the report's sentence about it."""

import pytest

from deployments.device import EmulatedAnswers, read_device
from edge_runtime.cpu import InstructionSet
from tasks.emulation.availability import answering
from tests.tasks.tiny import device

HASWELL = EmulatedAnswers(kind="emulated", cpu="Haswell", timeout_s=60)


@pytest.mark.parametrize("answers", [device().answers, HASWELL], ids=["native", "emulated"])
def test_a_machine_of_the_devices_class_needs_no_emulator(answers: object) -> None:
    chosen = answering(device(answers=answers), "avx2")
    assert (chosen.emulated, chosen.cpu.name, str(chosen.cpu)) == (None, "this machine's CPU", "avx2")
    assert chosen.cpu.is_proven
    assert chosen.sentence == "Answers are taken on this machine's CPU, which is of the device's class: avx2."


@pytest.mark.parametrize(("here", "named"), [("avx512_vnni", "avx512_vnni"), (None, "of a class that no profile")])
def test_native_answers_of_another_class_are_said_to_be_that(here: InstructionSet | None, named: str) -> None:
    chosen = answering(device(), here)
    assert chosen.emulated is None and not chosen.cpu.is_proven
    assert str(chosen.cpu) == f"{here or 'a set that no profile names'}, not the device's avx2"
    assert f"this machine's CPU ({named}" in chosen.sentence
    assert "which differs from the device's: avx2. Whether the file answers the same there is not shown." in (
        chosen.sentence
    )


@pytest.mark.parametrize("here", ["avx512_vnni", "avx512", "neon", None])
def test_a_machine_of_another_class_emulates(here: InstructionSet | None) -> None:
    chosen = answering(device(answers=HASWELL), here)
    assert chosen.emulated is not None and chosen.cpu.name == "Haswell, emulated"
    assert chosen.cpu.is_proven and str(chosen.cpu) == "avx2"
    assert "are taken on an emulated Haswell (avx2)" in chosen.sentence
    assert "No latency, memory or load time is taken under emulation" in chosen.sentence


def test_the_shipped_profiles_that_emulate_do_so_off_their_class() -> None:
    haswell, arm = answering(read_device("haswell"), "neon"), answering(read_device("arm-board"), "avx2")
    assert haswell.emulated is not None and haswell.emulated.machine == "x86_64"
    assert arm.emulated is not None and arm.emulated.machine == "aarch64"
    assert answering(read_device("gateway"), "avx512_vnni").emulated is None
