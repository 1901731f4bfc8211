"""A version that could not be answered for want of an emulator is asked for again when there is one."""

from dataclasses import replace
from pathlib import Path

import pytest

from deployments.device import DeviceProfile
from tasks.device_link import measuring as available
from tasks.emulation.availability import emulators_for
from tasks.errors import EmulatorMissing
from tasks.job import Job
from tasks.workspace import Workspace
from tests.tasks.emulation import needed
from tests.tasks.tiny import device


def key(job: Job, profile: DeviceProfile, home: Path) -> str:
    return replace(job, workspace=Workspace.at(home)).device_key(profile)


@pytest.mark.usefixtures("elsewhere")
def test_only_devices_that_need_an_emulator_here_are_looked_at(
    emulated: DeviceProfile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = emulators_for([device(name="plain"), emulated], tmp_path)
    assert list(found) == ["bench"] and isinstance(found["bench"], EmulatorMissing)


def test_another_class_of_machine_asks_for_a_new_answer(
    tiny: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = set()
    for here in ("avx2", "avx512_vnni", None):
        monkeypatch.setattr(available, "this_instruction_set", lambda here=here: here)
        keys.add(key(tiny, device(), tmp_path))
    assert len(keys) == 3


@needed.haswell
@pytest.mark.usefixtures("elsewhere")
def test_an_emulator_that_is_there_now_asks_for_a_new_answer(
    tiny: Job, emulated: DeviceProfile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain, answered = key(tiny, device(), tmp_path), key(tiny, emulated, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert key(tiny, emulated, tmp_path) != answered
    assert key(tiny, device(), tmp_path) == plain
