"""Serving over HTTP beside direct calls of the session: latency at light load, throughput at saturation, and memory."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge_runtime.session import EdgeModel
from edge_runtime.settings import SessionSettings
from tests.benchmarks.record import Figure
from tests.benchmarks.runtime.http_load import Load, put_load_on
from tests.benchmarks.runtime.http_model import (
    ROW,
    BenchModel,
    binary_request,
    json_request,
    large_bench_model,
    median_ms,
    small_bench_model,
)
from tests.edge_runtime.homes import ROOT
from tests.edge_runtime.install.carried import MODEL
from tests.edge_runtime.server.served_process import ServedProcess

SECONDS = 8.0
CONNECTIONS = 64
_MIB = 1 << 20


@contextmanager
def serving(model: BenchModel, folder: Path, *words: str) -> Iterator[ServedProcess]:
    """Serve a model in the real process."""
    folder.mkdir()
    with ServedProcess(("--bundle", model.manifest, *words), folder) as served:
        served.wait_for_note("READY=1")
        yield served


def figures(root: Path) -> list[Figure]:
    """Measure both models and return the figures."""
    small, large = small_bench_model(root / "small"), large_bench_model(root / "large")
    empty_mb = _private_mb_of([sys.executable, "-c", "import sys, edge_runtime.session; print(); sys.stdin.read()"])
    direct_ms = _direct_ms(small)
    with serving(small, root / "run-small") as served:
        idle_mb = private_mb(served.process.pid)
        single = {form: _load(served, form, 1, root) for form in ("binary", "json")}
        busy = _load(served, "binary", CONNECTIONS, root)
        served_mb = private_mb(served.process.pid)
    with serving(large, root / "run-large") as served:
        batched = _load(served, "binary", CONNECTIONS, root)
    failed = sum(each.failed for each in (*single.values(), busy, batched))
    return [
        Figure("HTTP: median at one connection, binary data, beyond a direct call", single["binary"].p50_ms - direct_ms,
               1.5, "ms", "at_most"),
        Figure("HTTP: the same with JSON", single["json"].p50_ms - direct_ms, 2.0, "ms", "at_most"),
        Figure("HTTP: requests per second of a tiny model, 64 connections", busy.per_second, 500, "/s", "at_least"),
        Figure("HTTP: rows per second at saturation, to the batched ceiling of the session alone",
               batched.per_second / large.ceiling, 0.5, "x", "at_least"),
        Figure("HTTP: the same, to the session one by one", batched.per_second * large.milliseconds[1] / 1e3, 1.0,
               "x", "at_least"),
        Figure("HTTP: private memory of an idle process", idle_mb, 60, "MB", "at_most"),
        Figure("HTTP: private memory after load", served_mb, 60, "MB", "at_most"),
        Figure("HTTP: idle, beyond a process that imported the runtime alone", idle_mb - empty_mb, 30, "MB", "at_most"),
        Figure("HTTP: requests that failed", failed, 0, "", "at_most"),
    ]  # fmt: skip


def _load(served: ServedProcess, form: str, connections: int, root: Path) -> Load:
    body, headers = binary_request() if form == "binary" else json_request()
    url = f"http://{served.address}/v2/models/{MODEL}/infer"
    put_load_on(url, body, headers, connections, 1.0, root / "load")
    return put_load_on(url, body, headers, connections, SECONDS, root / "load")


def _direct_ms(model: BenchModel) -> float:
    session = EdgeModel.load(model.path, SessionSettings(threads=1))
    return median_ms(lambda: session.predict({"x": ROW}), 2000)


def private_mb(*processes: int) -> float:
    """Return the private memory of processes in MB."""
    return _rollup("Private", processes)


def shared_out_mb(*processes: int) -> float:
    """Return the proportional set size of processes in MB."""
    return _rollup("Pss:", processes)


def _rollup(key: str, processes: Sequence[int]) -> float:
    kilobytes = 0
    for process in processes:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith(key))
    return kilobytes * 1024 / _MIB


def _private_mb_of(command: Sequence[str]) -> float:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        process.stdout.readline()
        found = private_mb(process.pid)
        process.communicate(b"")
    return found
