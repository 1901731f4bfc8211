"""The whole way: a device's own commands make and carry a report, a person enrols its key, and it is taken."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.edge_runtime.device.operated_device import device_environment
from tests.flows.field.conftest import Edgewright

Device = Callable[..., str]


@pytest.fixture
def operated(tmp_path: Path) -> Device:
    """Run a command of a device that has a table [reports]; returns what it prints."""
    config = tmp_path / "device.toml"
    config.write_text(
        f'device = "gateway"\nmodels = ["camera"]\nurl = "/nowhere"\nstate = "{tmp_path / "state"}"\n'
        f'root = "{tmp_path / "root.json"}"\n[reports]\n'
    )

    def run(*words: str) -> str:
        command = [sys.executable, "-P", "-m", "edge_runtime", *words, "--config", str(config)]
        return subprocess.run(
            command, env=device_environment(), capture_output=True, text=True, timeout=120, check=True
        ).stdout

    return run


def test_what_a_device_carries_is_taken(edgewright: Edgewright, operated: Device, box: Path, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(operated("reports", "key"))
    operated("reports", "make")
    operated("reports", "carry", str(box))
    (shown,) = (line for line in operated("reports", "status").splitlines() if line.startswith("device: "))
    fingerprint = shown.removeprefix("device: ")
    edgewright("devices", "enrol", "line-3", tmp_path / "key.json", "--fingerprint", fingerprint)
    assert edgewright("ingest", box).output == "line-3: 1 new report\n"
    row = edgewright("devices", "list").output.splitlines()[-1]
    assert row.split()[:6] == ["line-3", "camera", "gateway", "-", "-", "missing"]
