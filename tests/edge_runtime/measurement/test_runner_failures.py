"""Every end of a measuring process but success is a MeasurementFailed with a sentence, and leaves nothing running."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import load, save

import edge_runtime
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.measurement import RESOURCES, MeasureRequest, measure
from edge_runtime.model_files import weights_of
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.models import linear_model, logarithm_model, portable_model, summing_model, uneven_model
from tests.edge_runtime.processes import is_alive, measuring_children, wait_until

_ONE = SessionSettings(threads=1)
_ROWS = np.zeros((4, 8), np.float32)
_ENDLESS = {"latency_repeats": 10**9, "latency_seconds": 3600.0}


def _request(model: Path, **changes: object) -> MeasureRequest:
    arguments: dict[str, object] = {"inputs": {"x": _ROWS}, "settings": _ONE, "latency_seconds": 0.2}
    return MeasureRequest(model, **arguments | changes)  # type: ignore[arg-type]


def _caught(request: MeasureRequest, timeout_s: float, python: str) -> MeasurementFailed:
    with pytest.raises(MeasurementFailed) as caught:
        measure(request, timeout_s, python)
    return caught.value


def _failure(request: MeasureRequest, timeout_s: float = 30.0, python: str = sys.executable) -> str:
    """Return the sentence of a failure that is the model's own."""
    error = _caught(request, timeout_s, python)
    assert not isinstance(error, MeasurementInterrupted), error
    return str(error)


def _interruption(request: MeasureRequest, timeout_s: float = 30.0, python: str = sys.executable) -> str:
    """Return the sentence of a failure that says nothing about the model."""
    error = _caught(request, timeout_s, python)
    assert isinstance(error, MeasurementInterrupted), error
    return str(error)


def _interpreter(folder: Path, script: str) -> str:
    """A stand-in for the device's interpreter, which runs in the measuring folder."""
    path = folder / "interpreter"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def _big(folder: Path, **changes: object) -> MeasureRequest:
    """Weights of 48 MB; loading holds them twice for a moment."""
    model = linear_model(folder / "big.onnx", 4096, 3072)
    return _request(model, inputs={"x": np.zeros((1, 4096), np.float32)}, **changes)


def test_a_model_far_over_the_limit_is_stopped_while_it_loads(tmp_path: Path) -> None:
    sentence = _failure(_big(tmp_path, memory_limit_mb=60))
    assert "does not fit the memory limit of 60 MiB" in sentence
    assert "needs more memory than the process may have" in sentence


def test_the_limit_decides_to_a_few_megabytes(tmp_path: Path) -> None:
    request = _big(tmp_path)
    peak = measure(request, timeout_s=30).figures.peak_rss_mb
    again = measure(replace(request, memory_limit_mb=peak + 5), timeout_s=30)
    assert again.figures.peak_rss_mb == pytest.approx(peak, abs=5)
    sentence = _failure(replace(request, memory_limit_mb=peak - 5))
    assert f"does not fit the memory limit of {peak - 5:.0f} MiB. Its resident memory reached" in sentence


def test_a_limit_below_the_bare_runtime_is_named(model: Path) -> None:
    assert "memory limit of 4 MiB is taken by the bare runtime" in _failure(_request(model, memory_limit_mb=4))


def test_a_time_out_leaves_no_process(model: Path) -> None:
    seen: list[int] = []

    def look() -> None:
        wait_until(lambda: bool(measuring_children(os.getpid())))
        seen.extend(measuring_children(os.getpid()))

    looker = threading.Thread(target=look)
    looker.start()
    sentence = _interruption(_request(model, **_ENDLESS), timeout_s=1.5)
    looker.join()
    assert "longer than its 1.5 s and was killed" in sentence
    assert len(seen) == 1, "the child was never seen running"
    assert not is_alive(seen[0])


def test_a_kill_from_outside_is_named(model: Path) -> None:
    killed: list[int] = []

    def kill() -> None:
        wait_until(lambda: bool(measuring_children(os.getpid())))
        killed.extend(measuring_children(os.getpid()))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    sentence = _interruption(_request(model, **_ENDLESS, memory_limit_mb=500))
    killer.join()
    assert len(killed) == 1
    assert "ended by SIGKILL under the memory limit of 500 MiB" in sentence


def test_a_child_runs_the_code_that_started_it(model: Path, tmp_path: Path) -> None:
    sentence = _interruption(_request(model), python=_interpreter(tmp_path, "echo path $PYTHONPATH >&2; exit 3"))
    assert f"path {Path(edge_runtime.__file__).parents[1]}" in sentence


@pytest.mark.parametrize("name", ["ILL", "SEGV", "ABRT", "BUS", "FPE"])
def test_a_crash_is_the_models_and_names_the_signal_and_the_last_lines(model: Path, tmp_path: Path, name: str) -> None:
    python = _interpreter(tmp_path, f"echo illegal instruction in kernel >&2; kill -{name} $$")
    sentence = _failure(_request(model), python=python)
    assert f"SIG{name}" in sentence
    assert "illegal instruction in kernel" in sentence


@pytest.fixture
def heard_signals() -> Iterator[None]:
    """Signals that end a process by default, although a shell in the background lets its children ignore some."""
    before = {each: signal.signal(each, signal.SIG_DFL) for each in (signal.SIGINT, signal.SIGHUP)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.usefixtures("heard_signals")
@pytest.mark.parametrize("name", ["KILL", "TERM", "INT", "HUP", "USR1"])
def test_a_signal_from_outside_says_nothing_about_the_model(model: Path, tmp_path: Path, name: str) -> None:
    sentence = _interruption(_request(model), python=_interpreter(tmp_path, f"kill -{name} $$; sleep 5"))
    assert f"was ended by SIG{name}" in sentence


def test_a_full_disk_says_nothing_about_the_model(model: Path, tmp_path: Path) -> None:
    script = f'ln -s /dev/full output-0.npy; exec {sys.executable} "$@"'
    rows = {"x": np.zeros((4_000, 8), np.float32)}
    sentence = _interruption(_request(model, inputs=rows, batch_size=1_000), python=_interpreter(tmp_path, script))
    assert "left no complete result.json" in sentence
    assert "No space left on device" in sentence


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([1.0, -1.0, 4.0, -2.0], "The output roots: expected finite numbers, got NaN or an infinity in 2 of 4 rows"),
        ([1.0, 2.0, 3.0, 0.0], "The output logarithms: .* in 1 of 4 rows, first in row 3; look for"),
    ],
    ids=["NaN", "infinite"],
)
def test_answers_that_are_not_finite_are_no_answers(tmp_path: Path, rows: list[float], sentence: str) -> None:
    inputs = {"x": np.stack([np.ones(4, np.float32), np.array(rows, np.float32)], axis=1)}
    request = _request(logarithm_model(tmp_path / "log.onnx"), inputs=inputs, batch_size=3)
    assert re.search(sentence, _failure(request))
    assert measure(replace(request, inputs={"x": np.ones((4, 2), np.float32)}), 30).figures.size_bytes > 0


def test_a_child_dies_with_the_process_that_measures(model: Path, tmp_path: Path) -> None:
    script = f"""
import numpy as np
from pathlib import Path
from edge_runtime.measurement import MeasureRequest, measure
from edge_runtime.settings import SessionSettings
rows = {{"x": np.zeros((4, 8), np.float32)}}
measure(MeasureRequest(Path({str(model)!r}), rows, SessionSettings(1), latency_repeats=10**9, latency_seconds=3600), 60)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], env=environment) as parent:
        wait_until(lambda: bool(measuring_children(parent.pid)))
        (child,) = measuring_children(parent.pid)
        wait_until(lambda: any(tmp_path.glob("edgewright-measure-*/output-0.npy")))
        parent.kill()
    wait_until(lambda: not is_alive(child))


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("true", "status 0 and left no complete result.json"),
        ("echo boom >&2; exit 3", "status 3 and left no complete result.json. Its last lines were: boom"),
        ("echo '{' >result.json", "result.json .* is garbled"),
        ("echo '[]' >result.json", "garbled .it is no JSON object"),
        (
            """echo '{"sha256": "0", "figures": {"load_ms": 1}, "outputs": 1}' >result.json""",
            "garbled .its figures are",
        ),
        ("mkfifo result.json", "garbled .*it is no regular file"),
        ("ln -s /dev/zero result.json", "garbled .*it is no regular file"),
        ("head -c 200000 /dev/zero | tr '\\0' '[' >result.json", "garbled"),
    ],
)
def test_a_result_that_is_missing_or_garbled_is_no_measurement(
    model: Path, tmp_path: Path, script: str, sentence: str
) -> None:
    assert re.search(sentence, _interruption(_request(model), python=_interpreter(tmp_path, script)))


_OTHERS = [name for name in (*RESOURCES, "bare_rss_mb", "private_mb") if name != "latency_p99_ms"]
_FIGURES = ", ".join([*(f'"{name}": 1' for name in _OTHERS), '"latency_p99_ms": %s'])


@pytest.mark.parametrize(
    ("p99", "rows", "sentence"),
    [("NaN", 4, "latency_p99_ms is nan"), ('"1"', 4, "latency_p99_ms is '1'"), ("1", 3, "output 0 has 3 rows, not 4")],
)
def test_figures_that_are_no_figures_are_garbled(
    model: Path, tmp_path: Path, p99: str, rows: int, sentence: str
) -> None:
    np.save(tmp_path / "output.npy", np.zeros((rows, 3)))
    result = f'{{"sha256": "0", "figures": {{{_FIGURES % p99}}}, "outputs": 1}}'
    script = f"cp {tmp_path}/output.npy output-0.npy; echo '{result}' >result.json"
    assert sentence in _interruption(_request(model), python=_interpreter(tmp_path, script))


@pytest.mark.parametrize("outputs", ["Infinity", "true", "1.0", "-1", "0", "99999999999", '"1"', "null"])
def test_an_impossible_number_of_outputs_is_garbled(model: Path, tmp_path: Path, outputs: str) -> None:
    result = f'{{"sha256": "0", "figures": {{{_FIGURES % 1}}}, "outputs": {outputs}}}'
    assert "its number of outputs is" in _interruption(
        _request(model), python=_interpreter(tmp_path, f"echo '{result}' >result.json")
    )


def test_an_output_that_is_empty_is_garbled(model: Path, tmp_path: Path) -> None:
    result = f'{{"sha256": "0", "figures": {{{_FIGURES % 1}}}, "outputs": 1}}'
    script = f"touch output-0.npy; echo '{result}' >result.json"
    assert "is garbled" in _interruption(_request(model), python=_interpreter(tmp_path, script))


def test_figures_of_a_process_that_failed_afterwards_are_not_used(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "output.npy", np.zeros((4, 3)))
    result = f'{{"sha256": "0", "figures": {{{_FIGURES % 1}}}, "outputs": 1}}'
    script = f"cp {tmp_path}/output.npy output-0.npy; echo '{result}' >result.json"
    assert measure(_request(model), 30, _interpreter(tmp_path, script)).figures.load_ms == 1
    assert "after its result" in _interruption(_request(model), python=_interpreter(tmp_path, script + "; exit 1"))


def test_an_interpreter_that_is_not_there_is_named(model: Path, tmp_path: Path) -> None:
    assert "cannot start" in _interruption(_request(model), python=str(tmp_path / "absent"))


def test_a_missing_and_a_garbage_model_are_told_apart(tmp_path: Path) -> None:
    assert "no model file at" in _failure(_request(tmp_path / "absent.onnx"))
    (tmp_path / "garbage.onnx").write_bytes(b"garbage" * 100)
    sentence = _failure(_request(tmp_path / "garbage.onnx"))
    assert "garbage.onnx failed" in sentence
    assert "expected an ONNX graph" in sentence


def test_a_wrong_input_name_is_named(model: Path) -> None:
    assert "unknown ['image']" in _failure(_request(model, inputs={"image": _ROWS}))


def test_inputs_that_are_no_plain_arrays_are_refused(model: Path) -> None:
    assert "cannot be written" in _failure(_request(model, inputs={"x": np.array([object()] * 4)}))


def test_weights_beside_the_model_cannot_escape_its_size(tmp_path: Path, model: Path) -> None:
    split = tmp_path / "split.onnx"
    save(load(model), split, save_as_external_data=True, location="split.data", size_threshold=0)
    assert "named by their sha256, got 'split.data'" in _failure(_request(split))


def test_weights_that_changed_are_not_measured(tmp_path: Path) -> None:
    portable = portable_model(tmp_path / "portable")
    (path,) = weights_of(portable)
    path.write_bytes(bytes(path.stat().st_size))
    assert f"expected weights with the sha256 {path.name}, got" in _failure(_request(portable))
    path.unlink()
    assert f"expected a file of weights named {path.name} beside it, got none" in _failure(_request(portable))


def test_outputs_that_are_not_one_per_row_are_refused(tmp_path: Path) -> None:
    rows = {"x": np.zeros((4, 2), np.float32)}
    assert "axis 0 must be the rows" in _failure(_request(summing_model(tmp_path / "sum.onnx"), inputs=rows))
    uneven = {"x": np.array([[1, 0, 0, 0], [1, 1, 0, 0]], np.float32)}
    assert "rows must be alike" in _failure(_request(uneven_model(tmp_path / "uneven.onnx"), inputs=uneven))
