import gc
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import MeasurementFailed
from edge_runtime.measurement import MeasureRequest
from edge_runtime.measurement.protocol import REQUEST, read_result, write_request
from edge_runtime.measurement.worker import MINIMUM_REPEATS, time_calls
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.models import weights

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


def test_every_repeat_is_timed_and_no_warm_up() -> None:
    calls: list[int] = []
    milliseconds = time_calls(lambda: calls.append(1), warmup=3, repeats=50, seconds=10)
    assert len(calls) == 53
    assert len(milliseconds) == 50
    assert all(value >= 0 for value in milliseconds)


def test_the_times_are_milliseconds() -> None:
    (value,) = time_calls(lambda: time.sleep(0.02), warmup=0, repeats=1, seconds=1)
    assert 20 <= value < 500


def test_time_bounds_the_repeats_but_not_below_the_minimum() -> None:
    assert len(time_calls(lambda: time.sleep(0.002), warmup=0, repeats=10_000, seconds=0.001)) == MINIMUM_REPEATS
    assert len(time_calls(lambda: time.sleep(0.002), warmup=0, repeats=5, seconds=0.001)) == 5


def test_the_collector_is_off_while_timing_and_on_again_after() -> None:
    states: list[bool] = []
    assert gc.isenabled()
    time_calls(lambda: states.append(gc.isenabled()), warmup=1, repeats=2, seconds=1)
    assert states == [True, False, False]
    assert gc.isenabled()


def test_a_failing_call_leaves_the_collector_on() -> None:
    try:
        time_calls(lambda: 1 / 0, warmup=0, repeats=1, seconds=1)
    except ZeroDivisionError:
        assert gc.isenabled()
    else:
        raise AssertionError("the call did not fail")


def test_a_worker_whose_parent_ended_before_it_was_ready_measures_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as parent:
        pass
    environment = os.environ | {"EDGEWRIGHT_MEASURED_FOR": str(parent.pid)}
    command = [sys.executable, "-m", "edge_runtime.measurement.worker", str(tmp_path / "request.json")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (1, "")
