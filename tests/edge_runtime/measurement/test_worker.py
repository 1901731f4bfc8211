import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import MeasurementFailed
from edge_runtime.files import sha256_of
from edge_runtime.measurement import MeasureRequest
from edge_runtime.measurement.energy import CallEnergy
from edge_runtime.measurement.protocol import REQUEST, read_result, write_request
from edge_runtime.measurement.worker import main
from edge_runtime.model_files import model_digest
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.models import portable_model, weights

_ROWS = np.random.default_rng(5).standard_normal((5, 8), dtype=np.float32)


def _worker(folder: Path, request: MeasureRequest) -> int:
    """Run the worker on a request, in the environment of the tests; returns its status."""
    write_request(folder, request)
    command = [sys.executable, "-W", "error", "-m", "edge_runtime.measurement.worker", str(folder / REQUEST)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr == ""
    return ended.returncode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "measuring").mkdir()
    return tmp_path / "measuring"


def test_figures_and_answers_lie_beside_the_request(model: Path, folder: Path) -> None:
    request = MeasureRequest(model, {"x": _ROWS}, SessionSettings(1), batch_size=2, latency_batch_size=7)
    assert _worker(folder, request) == 0
    measured = read_result(folder, request)
    np.testing.assert_allclose(measured.outputs[0], _ROWS @ weights(8, 3), rtol=1e-5, atol=1e-6)
    assert measured.figures.size_bytes == model.stat().st_size
    assert measured.sha256 == sha256_of(model)


@pytest.mark.parametrize(("repeats", "told"), [(20, {"energy_mj": 4.0, "memory_energy_mj": 1.0}), (1, {})])
def test_energy_is_that_of_a_row_and_asked_where_calls_are_timed(
    model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, repeats: int, told: dict[str, float]
) -> None:
    for name in ("_die_with_parent", "process_memory.reset_peak"):
        monkeypatch.setattr(f"edge_runtime.measurement.worker.{name}", lambda: None)  # this process is the tests'
    monkeypatch.setattr("edge_runtime.measurement.worker.resource.setrlimit", lambda *_: None)
    monkeypatch.setattr("edge_runtime.measurement.worker.energy_of_calls", lambda _: CallEnergy(28.0, 7.0))
    request = MeasureRequest(model, {"x": _ROWS}, SessionSettings(1), latency_batch_size=7, latency_repeats=repeats)
    write_request(folder, request)
    assert main([str(folder / REQUEST)]) == 0
    figures = json.loads((folder / "result.json").read_text())["figures"]
    assert {name: figure for name, figure in figures.items() if "energy" in name} == told
    assert read_result(folder, request).figures.energy_mj == told.get("energy_mj")


def test_weights_beside_the_graph_are_measured_with_it(tmp_path: Path, folder: Path) -> None:
    portable = portable_model(tmp_path / "portable", 8, 300)
    request = MeasureRequest(portable, {"x": _ROWS}, SessionSettings(1))
    assert _worker(folder, request) == 0
    measured = read_result(folder, request)
    np.testing.assert_allclose(measured.outputs[0], _ROWS @ weights(8, 300), rtol=1e-5, atol=1e-5)
    assert measured.figures.size_bytes == portable.stat().st_size + 4 * 8 * 300
    assert measured.sha256 == model_digest(portable)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"inputs": {"image": _ROWS}}, "unknown .'image'"),
        ({"memory_limit_mb": 4}, "memory limit of 4 MiB is taken by the bare runtime"),
    ],
)
def test_a_failure_is_a_sentence_beside_the_request(
    model: Path, folder: Path, changes: dict[str, Any], sentence: str
) -> None:
    request = replace(MeasureRequest(model, {"x": _ROWS}, SessionSettings(1)), **changes)
    assert _worker(folder, request) == 1
    with pytest.raises(MeasurementFailed, match=sentence):
        read_result(folder, request)


def test_a_worker_whose_parent_ended_before_it_was_ready_measures_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as parent:
        pass
    environment = os.environ | {"EDGEWRIGHT_MEASURED_FOR": str(parent.pid)}
    command = [sys.executable, "-m", "edge_runtime.measurement.worker", str(tmp_path / "request.json")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (1, "")
