"""The content of docker/edge.Dockerfile's image, laid out in a folder, runs with nothing else in reach."""

import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import edge_runtime
from tests.edge_runtime.models import weights

_DOCKER = Path(__file__).parents[3] / "docker"


def _pins() -> dict[str, str]:
    lines = (_DOCKER / "edge-requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A folder with edge_runtime and the two packages of the image, and no other package."""
    folder = tmp_path / "device"
    shutil.copytree(Path(edge_runtime.__file__).parent, folder / "edge_runtime")
    for package in (np, onnxruntime):
        installed = Path(str(package.__file__)).parent
        for part in (installed, installed.with_name(installed.name + ".libs")):
            if part.exists():
                (folder / part.name).symlink_to(part)
    return folder


def _run(device: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-S", *arguments]  # -S: no site-packages
    environment = {"PYTHONPATH": str(device), "PYTHONSAFEPATH": "1"}
    return subprocess.run(command, cwd=device, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_folder_holds_nothing_but_the_image(device: Path) -> None:
    for absent in ("torch", "onnx", "yaml", "flatbuffers", "google.protobuf", "flows"):
        assert "No module named" in _run(device, "-c", f"import {absent}").stderr


def test_a_bundle_is_verified_and_run(device: Path, bundle: Path, tmp_path: Path) -> None:
    verified = _run(device, "-m", "edge_runtime", "verify", str(bundle))
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.startswith("intact: linear")
    rows = np.ones((2, 8), np.float32)
    np.save(tmp_path / "rows.npy", rows)
    predicted = _run(device, "-m", "edge_runtime", "predict", str(bundle), str(tmp_path / "rows.npy"))
    np.testing.assert_allclose(json.loads(predicted.stdout)["y"], rows @ weights(8, 3), rtol=1e-5, atol=1e-6)


def test_the_image_pins_what_the_tests_ran_with() -> None:
    assert _pins() == {name: metadata.version(name) for name in ("numpy", "onnxruntime")}
