"""Emulated against native: the same file on both CPUs, on rows that both answered."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.device import DeviceProfile
from quality_gates.gates import Parity
from tasks.compression import ModelFile
from tasks.device_link import measuring as available
from tasks.job import Job
from tasks.selection.parity_runs import parity
from tasks.upstream import DeviceContext
from tests.tasks.builders import on
from tests.tasks.emulation import needed
from tests.tasks.tiny import recipe


def asking(job: Job, device: DeviceProfile) -> DeviceContext:
    gate = Parity(name="target", check="emulated_native", at_most=1e-4, rows_at_most=0.0)
    asked = Job(job.model, job.version, recipe(gates=(gate,)), job.workload, job.splits, job.workspace)
    return on(asked, device)


def trained() -> Any:
    return SimpleNamespace(digest="t", title="tiny")


@needed.haswell
@pytest.mark.usefixtures("elsewhere")
def test_a_float_file_answers_the_same_on_both(tiny: Job, file: Path, emulated: DeviceProfile) -> None:
    (seen,) = parity(asking(tiny, emulated), ModelFile(file, "f", 0.0), trained(), "test")
    assert (seen.check, seen.rows, seen.differing, seen.failure) == ("emulated_native", 30, 0, None)
    assert seen.largest < 1e-5
    assert len(list((tiny.workspace.store.root / "emulate").iterdir())) == 1


def test_a_machine_of_the_devices_class_compares_two_runs_of_its_own(
    tiny: Job, file: Path, emulated: DeviceProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(available, "this_instruction_set", lambda: "avx2")
    (seen,) = parity(asking(tiny, emulated), ModelFile(file, "f", 0.0), trained(), "test")
    assert (seen.rows, seen.differing, seen.largest) == (30, 0, 0.0)


@pytest.mark.usefixtures("elsewhere")
def test_without_the_emulator_it_was_not_measured(
    tiny: Job, file: Path, emulated: DeviceProfile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    warned: list[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("PATH", str(tmp_path))
    (seen,) = parity(asking(tiny, emulated), ModelFile(file, "f", 0.0), trained(), "test")
    assert seen.rows == 0 and seen.failure is not None and "Install qemu-user-static" in seen.failure
    assert len(warned) == 1
