"""A machine of another class than the device's, whatever the tests run on."""

from pathlib import Path

import pytest

from deployments.device import DeviceProfile, EmulatedAnswers
from tasks.emulation import availability as available
from tasks.job import Job
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model
from tests.tasks.tiny import FEATURES, device, job


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(available, "instruction_set_here", lambda: "avx512_vnni")


@pytest.fixture
def emulated() -> DeviceProfile:
    return device(answers=EmulatedAnswers(kind="emulated", cpu="Haswell", timeout_s=120))


@pytest.fixture
def tiny(tmp_path: Path) -> Job:
    return job(Workspace.at(tmp_path / "home", "sqlite:///unused"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return linear_model(tmp_path / "linear.onnx", FEATURES)
