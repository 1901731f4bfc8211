"""ONNX Runtime phones home from its import on. Where edge_runtime was imported first, a session leaves a home empty."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.measurement import MeasureRequest, measure
from edge_runtime.settings import SessionSettings
from tests.edge_runtime import homes

SESSION = """
import numpy, sys
from edge_runtime.session import EdgeModel
from edge_runtime.settings import SessionSettings
EdgeModel.load(sys.argv[1], SessionSettings(1)).predict({"x": numpy.zeros((1, 8), numpy.float32)})
"""
PERMITTED = "import os, edge_runtime\nos.environ.pop('ORT_DISABLE_TELEMETRY')\n"
ROOMS = ("deployments", "edge_runtime", "flows", "model_compression", "quality_gates", "tasks")


def run(home: Path, code: str, *arguments: str, **variables: str) -> str:
    """Run code as a user does who never heard of the variable, and without CI; returns its output."""
    environment = homes.environment(home) | variables
    command = [sys.executable, "-c", code, *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_session_leaves_the_home_empty(model: Path, home: Path) -> None:
    run(home, SESSION, str(model))
    assert homes.files(home) == []


def test_a_session_that_may_send_does_write_so_that_the_test_above_can_fail(model: Path, home: Path) -> None:
    run(home, PERMITTED + SESSION, str(model))
    found = homes.files(home)
    if not found:
        pytest.skip("this build of ONNX Runtime writes nothing, so there is nothing to turn off")
    assert any("onnxruntime" in path for path in found)


def test_a_users_permission_does_not_count(model: Path, home: Path) -> None:
    run(home, SESSION, str(model), ORT_DISABLE_TELEMETRY="0")
    assert homes.files(home) == []


def test_a_measurement_leaves_the_home_empty(model: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in homes.environment(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    seen = measure(MeasureRequest(model, {"x": np.zeros((4, 8), np.float32)}, SessionSettings(1)), 30)
    assert len(seen.outputs[0]) == 4
    assert homes.files(home) == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_turns_it_off_before_anything_of_it_is_imported(room: str, home: Path) -> None:
    code = f"import {room}, os, sys; print(os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in sys.modules)"
    assert run(home, code, ORT_DISABLE_TELEMETRY="0").split() == ["1", "False"]


def test_the_rooms_are_all_there() -> None:
    root = Path(__file__).parents[2]
    assert {path.parent.name for path in root.glob("*/__init__.py")} - {"tests"} == set(ROOMS)
    assert "CI" not in os.environ  # it would hide what users get
