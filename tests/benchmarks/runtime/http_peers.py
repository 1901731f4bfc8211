"""MLServer and LitServe, each in an environment of its own, beside this server: the same model, thread and load."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import MeasurementFailed
from tests.benchmarks.record import ROOT, Figure
from tests.benchmarks.runtime.http_load import Load, put_load_on
from tests.benchmarks.runtime.http_model import ROW, BenchModel, json_request, large_bench_model, small_bench_model
from tests.benchmarks.runtime.http_serving import serving, shared_out_mb
from tests.edge_runtime.install.carried import MODEL

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "mlserver": ("mlserver==1.7.1", "fastapi<0.116", "onnxruntime==1.31.1"),
    "litserve": ("litserve==0.2.19", "onnxruntime==1.31.1"),
}
PROGRAMS = Path(__file__).parent / "peers"
SECONDS, CONNECTIONS = 6.0, 32
START_S = 120.0


@dataclass(frozen=True)
class Found:
    """Figures of one server with one model: load on one connection and on many, its CPU seconds, and memory in MB."""

    single: Load
    many: Load
    cpu_s: float
    memory_mb: float

    @property
    def per_cpu_second(self) -> float:
        """Answers on many connections for each second of CPU time that they took."""
        return self.many.per_second * SECONDS / self.cpu_s


def part(root: Path) -> tuple[list[Figure], str]:
    """Measure the three servers with both models."""
    rows, figures = [], list[Figure]()
    for name, make in (("tiny", small_bench_model), ("201 MB", large_bench_model)):
        model = make(root / f"model-{name}")
        found = {server: _measured(run, model, root / f"{server}-{name}") for server, run in _SERVERS.items()}
        rows += [_row(name, server, each) for server, each in found.items()]
        ours = found.pop("edgewright")
        for server, other in found.items():
            figures += [
                Figure(f"{name} model: answers per second, to {server}", ours.many.per_second / other.many.per_second,
                       1.0, "x", "at_least"),
                Figure(f"{name} model: answers per CPU second, to {server}", ours.per_cpu_second / other.per_cpu_second,
                       1.0, "x", "at_least"),
                Figure(f"{name} model: memory, to {server}", ours.memory_mb / other.memory_mb, 1.0, "x", "at_most"),
            ]  # fmt: skip
    head = (
        "| model | server | p50 of 1, ms | answers/s of 32 | p99 of 32, ms | answers/CPU s | failed | memory, MB |\n"
        + "| --- " * 8
    )
    return figures, "\n".join([f"{head}|", *rows])


def _row(model: str, server: str, found: Found) -> str:
    many, failed = found.many, found.single.failed + found.many.failed
    return (
        f"| {model} | {server} | {found.single.p50_ms:.2f} | {many.per_second:.0f} | {many.p99_ms:.1f} | "
        f"{found.per_cpu_second:.0f} | {failed} | "
        f"{found.memory_mb:.0f} |"
    )


@dataclass(frozen=True)
class Peer:
    """A server that runs: the address of its model, a request for one row, and its process."""

    url: str
    body: bytes
    headers: dict[str, str]
    process: int


@contextmanager
def _edgewright(model: BenchModel, folder: Path) -> Iterator[Peer]:
    folder.mkdir()
    with serving(model, folder / "run") as served:
        yield Peer(f"http://{served.address}/v2/models/{MODEL}/infer", *json_request(), served.process.pid)


@contextmanager
def _mlserver(model: BenchModel, folder: Path) -> Iterator[Peer]:
    folder.mkdir()
    port, grpc, metrics = (_free_port() for _ in range(3))
    server = {"host": "127.0.0.1", "http_port": port, "grpc_port": grpc, "metrics_port": metrics, "debug": False,
              "parallel_workers": 0}  # fmt: skip
    settings = {"name": MODEL, "implementation": "mlserver_peer.OnnxModel", "max_batch_size": 32,
                "max_batch_time": 0.005, "parameters": {"uri": str(model.path)}}  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(server))
    (folder / "model-settings.json").write_text(json.dumps(settings))
    python = _environment("mlserver")
    url = f"http://127.0.0.1:{port}/v2/models/{MODEL}/infer"
    with _running([str(python.with_name("mlserver")), "start", str(folder)], folder, url, *json_request()) as peer:
        yield peer


@contextmanager
def _litserve(model: BenchModel, folder: Path) -> Iterator[Peer]:
    folder.mkdir()
    port, python = _free_port(), _environment("litserve")
    body = json.dumps({"x": ROW.ravel().tolist()}).encode()
    command = [str(python), str(PROGRAMS / "litserve_peer.py"), str(model.path), str(port)]
    headers = {"Content-Type": "application/json"}
    with _running(command, folder, f"http://127.0.0.1:{port}/predict", body, headers) as peer:
        yield peer


_SERVERS: Mapping[str, Callable[[BenchModel, Path], object]] = {
    "edgewright": _edgewright,
    "mlserver": _mlserver,
    "litserve": _litserve,
}


def _measured(run: Callable[[BenchModel, Path], object], model: BenchModel, folder: Path) -> Found:
    with run(model, folder) as peer:  # type: ignore[attr-defined]
        load = folder / "load"
        put_load_on(peer.url, peer.body, peer.headers, CONNECTIONS, 2.0, load)
        single = put_load_on(peer.url, peer.body, peer.headers, 1, SECONDS, load)
        before = _cpu_s(peer.process)
        many = put_load_on(peer.url, peer.body, peer.headers, CONNECTIONS, SECONDS, load)
        spent = _cpu_s(peer.process) - before
        return Found(single, many, spent, shared_out_mb(*_tree(peer.process)))


@contextmanager
def _running(command: list[str], folder: Path, url: str, body: bytes, headers: dict[str, str]) -> Iterator[Peer]:
    """Run a peer until it answers, and end it and its children."""
    variables = os.environ | {"PYTHONPATH": str(PROGRAMS), "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(process, url, body, headers, folder / "log")
        yield Peer(url, body, headers, process.pid)
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def _wait_for(process: "subprocess.Popen[bytes]", url: str, body: bytes, headers: dict[str, str], log: Path) -> None:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        try:
            urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10).read()
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.2)
        else:
            return
    raise MeasurementFailed(f"expected an answer of {url}, got none: {log.read_text()[-2000:]}")


def _environment(name: str) -> Path:
    """Return the Python of a peer's environment, which is made at the first time."""
    folder = ROOT / ".edgewright" / "bench" / f"serve-{name}"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--progress-bar", "off"]
        alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        subprocess.run([*pip, *PACKAGES[name]], env=alone, check=True)
        (folder / "installed").touch()
    return python


def _cpu_s(process: int) -> float:
    """Return the CPU seconds that a process and all that descend from it have taken."""
    ticks = 0
    for each in _tree(process):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _tree(process: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [process]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        return int(made.getsockname()[1])
