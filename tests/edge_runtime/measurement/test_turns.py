"""Models that are timed in turns, by real processes, also beside others that take the CPU, and when they fail."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.measurement import MeasureRequest, TurnLatency, measure_in_turns, too_busy
from edge_runtime.measurement.turns import FEWEST_ROUNDS
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.models import chained_model, linear_model
from tests.edge_runtime.processes import is_alive, measuring_children, wait_until

_ONE = SessionSettings(threads=1)
_WIDTH, _ROWS = 256, 128
_LOAD = '{"milliseconds": 1.0, "cpu_milliseconds": 1.0}'


def _request(model: Path, **changes: object) -> MeasureRequest:
    arguments: dict[str, object] = {
        "inputs": {"x": np.ones((_ROWS, _WIDTH), np.float32)}, "settings": _ONE, "latency_batch_size": _ROWS,
        "latency_seconds": 3.0,
    }  # fmt: skip
    return MeasureRequest(model, **arguments | changes)  # type: ignore[arg-type]


@pytest.fixture
def matmul(tmp_path: Path) -> Path:
    return chained_model(tmp_path / "one.onnx", _WIDTH, 1)


@contextmanager
def _busy_machine(rivals: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(rivals)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _latencies(results: dict[str, TurnLatency | MeasurementFailed]) -> dict[str, TurnLatency]:
    kept = {name: result for name, result in results.items() if isinstance(result, TurnLatency)}
    assert kept.keys() == results.keys(), results
    return kept


@pytest.mark.parametrize("rivals", [0, 4])
def test_a_file_is_as_fast_as_itself_or_the_machine_is_too_busy(matmul: Path, rivals: int) -> None:
    with _busy_machine(rivals):
        seen = _latencies(measure_in_turns({"candidate": _request(matmul), "parent": _request(matmul)}, 60))
    ratio = seen["candidate"].latency_p50_ms / seen["parent"].latency_p50_ms
    assert too_busy(seen) is not None or 0.8 < ratio < 1.25
    assert all(latency.calls >= FEWEST_ROUNDS and latency.blocks % 2 == 0 for latency in seen.values())
    assert len({latency.blocks for latency in seen.values()}) == 1


def test_four_times_the_work_takes_about_four_times_as_long(matmul: Path, tmp_path: Path) -> None:
    four = chained_model(tmp_path / "four.onnx", _WIDTH, 4)
    with _busy_machine(1):
        seen = _latencies(measure_in_turns({"one": _request(matmul), "four": _request(four)}, 60))
    ratio = seen["four"].latency_p50_ms / seen["one"].latency_p50_ms
    assert ratio > 1.5
    assert too_busy(seen) is not None or ratio < 7


def test_every_percentile_has_its_place(matmul: Path) -> None:
    (seen,) = _latencies(measure_in_turns({"alone": _request(matmul)}, 60)).values()
    assert 0 < seen.latency_p10_ms <= seen.latency_p50_ms <= seen.latency_p99_ms
    assert seen.spread >= 0 and seen.switches_per_s >= 0
    assert 0 <= seen.undisturbed <= seen.calls
    assert seen.load_ms > 0 and seen.load_cpu_ms > 0


def test_more_repeats_are_more_calls_and_the_time_bounds_them(matmul: Path) -> None:
    many = _request(matmul, latency_repeats=10**9, latency_seconds=0.5)
    (seen,) = _latencies(measure_in_turns({"alone": many}, 60)).values()
    assert 20 <= seen.calls < 10**6


def test_one_that_cannot_be_timed_does_not_stop_the_others(matmul: Path, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"garbage" * 100)
    seen = measure_in_turns(
        {
            "absent": _request(tmp_path / "absent.onnx"),
            "garbage": _request(garbage),
            "rows": _request(matmul, inputs={"image": np.ones((_ROWS, _WIDTH), np.float32)}),
            "memory": _request(matmul, memory_limit_mb=4),
            "good": _request(matmul),
        },
        60,
    )
    said = {name: str(result) for name, result in seen.items() if isinstance(result, MeasurementFailed)}
    assert said.keys() == seen.keys() - {"good"}
    assert not any(isinstance(result, MeasurementInterrupted) for result in seen.values())
    assert said["absent"].startswith("There is no model file at")
    assert "does not load" in said["garbage"]
    assert "unknown ['image']" in said["rows"]
    assert "memory limit of 4 MiB is taken by the bare runtime" in said["memory"]


def _results_while(act_on: str, requests: dict[str, MeasureRequest]) -> dict[str, TurnLatency | MeasurementFailed]:
    """Time in turns, and send a signal to the first process once all of them are there."""
    hit: list[int] = []

    def act() -> None:
        wait_until(lambda: len(measuring_children(os.getpid())) == len(requests), 30)
        first = min(measuring_children(os.getpid()))
        os.kill(first, signal.Signals[act_on])
        hit.append(first)

    actor = threading.Thread(target=act)
    actor.start()
    results = measure_in_turns(requests, 15)
    actor.join()
    assert len(hit) == 1
    assert not is_alive(hit[0])
    return results


@pytest.mark.parametrize(
    ("act_on", "interrupted", "says"),
    [("SIGKILL", True, "ended by SIGKILL"), ("SIGSEGV", False, "ended by SIGSEGV"), ("SIGSTOP", True, "than its 15 s")],
)
def test_a_process_that_ends_or_hangs_is_its_own_models_failure(
    matmul: Path, act_on: str, interrupted: bool, says: str
) -> None:
    seen = _results_while(act_on, {"first": _request(matmul), "second": _request(matmul)})
    first, second = seen["first"], seen["second"]
    assert isinstance(first, MeasurementFailed) and says in str(first)
    assert isinstance(first, MeasurementInterrupted) == interrupted
    assert isinstance(second, TurnLatency)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("true", "status 0 and left no complete result.json"),
        ("echo boom >&2; exit 3", "status 3 and left no complete result.json. Its last lines were: boom"),
        ("echo '\"ready\"'; read line; echo '{}'; read line", "sent no times (expected a load, got {})"),
        (
            f"echo '\"ready\"'; read line; echo '{_LOAD}'; read line; echo '{{}}'; read line",
            "(expected a block, got {})",
        ),
        ("echo 1; read line", "sent no times (expected ready, got 1)"),
        ("echo no json; read line", "sent no times"),
        ("exec >&-; sleep 60", "took longer than its"),
    ],
    ids=["nothing", "a status", "no load", "no block", "not ready", "no json", "a closed pipe"],
)
def test_a_process_that_answers_wrongly_is_an_interruption(
    matmul: Path, tmp_path: Path, script: str, says: str
) -> None:
    python = tmp_path / "interpreter"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    result = measure_in_turns({"alone": _request(matmul)}, 30, str(python))["alone"]
    assert isinstance(result, MeasurementInterrupted)
    assert says in str(result)


def test_an_interpreter_that_is_not_there_is_an_interruption(matmul: Path, tmp_path: Path) -> None:
    result = measure_in_turns({"alone": _request(matmul)}, 30, str(tmp_path / "absent"))["alone"]
    assert isinstance(result, MeasurementInterrupted) and "cannot start" in str(result)


def test_the_processes_are_one_group_and_die_with_the_one_that_started_them(matmul: Path, tmp_path: Path) -> None:
    script = f"""
import numpy as np
from pathlib import Path
from edge_runtime.measurement import MeasureRequest, measure_in_turns
from edge_runtime.settings import SessionSettings
rows = {{"x": np.ones((1, {_WIDTH}), np.float32)}}
asked = MeasureRequest(Path({str(matmul)!r}), rows, SessionSettings(1), latency_repeats=10**9, latency_seconds=3600)
measure_in_turns({{"a": asked, "b": asked, "c": asked}}, 3600)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], env=environment) as parent:
        wait_until(lambda: len(measuring_children(parent.pid)) == 3, 30)
        children = measuring_children(parent.pid)
        groups = {os.getpgid(child) for child in children}
        parent.kill()
    assert groups == {min(children)}
    wait_until(lambda: not any(is_alive(child) for child in children), 30)


def test_nobody_is_left_running(model: Path) -> None:
    request = replace(_request(linear_model(model)), inputs={"x": np.ones((_ROWS, 8), np.float32)})
    measure_in_turns({"a": request, "b": request}, 60)
    assert measuring_children(os.getpid()) == []
