"""Real measuring processes give right answers and plausible figures, and a child ends within its time."""

import functools
import json
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.measurement import Measurement, MeasureRequest, measure
from edge_runtime.measurement.runner import run_child
from edge_runtime.session import EdgeModel
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.models import linear_model, two_headed_model, weights
from tests.edge_runtime.processes import is_alive, wait_until

_ONE = SessionSettings(threads=1)
_ROWS = np.random.default_rng(2).standard_normal((37, 8), dtype=np.float32)


def _request(model: Path, **changes: object) -> MeasureRequest:
    arguments: dict[str, object] = {"inputs": {"x": _ROWS}, "settings": _ONE, "latency_seconds": 0.2}
    return MeasureRequest(model, **arguments | changes)  # type: ignore[arg-type]


def _check_plausible(seen: Measurement, model: Path) -> None:
    assert seen.figures.size_bytes == model.stat().st_size
    assert 0 < seen.figures.load_ms < 60_000
    assert 0 < seen.figures.latency_p50_ms <= seen.figures.latency_p99_ms < 60_000
    assert 0 < seen.model_rss_mb < seen.figures.peak_rss_mb


@pytest.mark.parametrize("batch_size", [1, 10, 64])
def test_every_row_is_predicted_and_the_figures_are_plausible(model: Path, batch_size: int) -> None:
    seen = measure(_request(model, batch_size=batch_size, memory_limit_mb=300), timeout_s=30)
    (answers,) = seen.outputs
    np.testing.assert_allclose(answers, _ROWS @ weights(8, 3), rtol=1e-5, atol=1e-6)
    _check_plausible(seen, model)
    assert seen.figures.peak_rss_mb < 150


def test_outputs_are_maps_of_files_and_not_held_in_memory(model: Path) -> None:
    (answers,) = measure(_request(model), timeout_s=30).outputs
    assert isinstance(answers, np.memmap) and not Path(str(answers.filename)).exists()
    answers[0] = 7  # as an array in memory


def test_an_emulator_runs_the_interpreter_and_its_packages_come_first(model: Path, tmp_path: Path) -> None:
    own = tmp_path / "packages"
    own.mkdir()
    told = tmp_path / "told.txt"
    (own / "sitecustomize.py").write_text(f"import sys; open({str(told)!r}, 'w').write(sys.path[0])")
    seen = measure(_request(model), timeout_s=30, emulator=("/usr/bin/env", "THROUGH=emulator"), packages=[own])
    np.testing.assert_allclose(seen.outputs[0], _ROWS @ weights(8, 3), rtol=1e-5, atol=1e-6)
    assert told.read_text() == str(own)


def test_the_answers_are_those_of_the_runtime_itself(tmp_path: Path) -> None:
    model = two_headed_model(tmp_path / "two.onnx")
    inputs = {name: np.random.default_rng(3).standard_normal((6, 2), dtype=np.float32) for name in ("b", "a")}
    settings = SessionSettings(threads=2, optimization="basic")
    seen = measure(_request(model, inputs=inputs, settings=settings, latency_batch_size=9), timeout_s=30)
    expected = EdgeModel.load(model, settings).predict(inputs)
    assert len(seen.outputs) == 2
    for answer, want in zip(seen.outputs, expected, strict=True):
        np.testing.assert_array_equal(answer, want)


def test_memory_is_the_models_and_neither_the_rows_nor_the_parents(tmp_path: Path) -> None:
    small, large = linear_model(tmp_path / "small.onnx", 512, 4), linear_model(tmp_path / "large.onnx", 512, 10_000)
    parents = np.ones(200 << 17)  # 200 MB resident here while the children run
    rows = np.ones((15_000, 512), np.float32)  # 29 MB
    few = {"x": rows[:8]}
    bare = measure(_request(small, inputs=few), timeout_s=30)
    many = measure(_request(small, inputs={"x": rows}, batch_size=100), timeout_s=30)
    heavy = measure(_request(large, inputs=few), timeout_s=30)  # weights of 20 MB
    assert parents.sum() == parents.size
    assert bare.figures.peak_rss_mb < 120
    assert many.figures.peak_rss_mb < bare.figures.peak_rss_mb + 10
    assert heavy.model_rss_mb > bare.model_rss_mb + 18
    runtime = bare.figures.peak_rss_mb - bare.model_rss_mb
    assert heavy.figures.peak_rss_mb - heavy.model_rss_mb == pytest.approx(runtime, abs=5)
    assert heavy.figures.latency_p50_ms > bare.figures.latency_p50_ms


def test_the_child_does_not_see_the_parents_environment(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise RuntimeError('imported from the wrong place')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    _check_plausible(measure(_request(model), timeout_s=30), model)


def _is_gone(pid: int) -> bool:
    return not is_alive(pid)


def _shell(script: str, folder: Path, timeout_s: float = 10.0) -> tuple[int | None, str]:
    ended = run_child(["/bin/sh", "-c", script], folder, {"PATH": os.environ["PATH"]}, timeout_s)
    return ended.returncode, ended.last_lines


def test_the_return_code_and_the_last_lines_are_kept(tmp_path: Path) -> None:
    script = "for n in 1 2 3 4 5 6 7; do echo line $n >&2; done; exit 7"
    assert _shell(script, tmp_path) == (7, "line 3\nline 4\nline 5\nline 6\nline 7")


def test_a_signal_is_below_zero(tmp_path: Path) -> None:
    assert _shell("kill -SEGV $$", tmp_path) == (-signal.SIGSEGV, "")


def test_endless_words_are_cut(tmp_path: Path) -> None:
    _, words = _shell("head -c 100000 /dev/zero | tr '\\0' 'x' >&2", tmp_path)
    assert len(words) == 4096


def test_the_environment_is_exactly_what_was_given(tmp_path: Path) -> None:
    code = "import json, os, sys; json.dump(sorted(os.environ), sys.stderr)"
    ended = run_child([sys.executable, "-I", "-c", code], tmp_path, {"ONLY": "1"}, 10)
    assert set(json.loads(ended.last_lines)) - {"LC_CTYPE"} == {"ONLY"}


def test_a_time_out_kills_the_child_and_what_it_started(tmp_path: Path) -> None:
    alive: list[bool] = []

    def look() -> None:
        wait_until((tmp_path / "ready").exists)
        alive.extend(is_alive(int((tmp_path / name).read_text())) for name in ("child", "grandchild"))

    looker = threading.Thread(target=look)
    looker.start()
    script = "sleep 60 & echo $! >grandchild; echo $$ >child; echo waiting >&2; touch ready; wait"
    assert _shell(script, tmp_path, timeout_s=1.0) == (None, "waiting")
    looker.join()
    assert alive == [True, True], "the child was not running when its time ran out"
    for name in ("child", "grandchild"):
        pid = int((tmp_path / name).read_text())
        wait_until(functools.partial(_is_gone, pid))


def test_a_command_that_is_not_there_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_child([str(tmp_path / "absent")], tmp_path, {}, 1)
