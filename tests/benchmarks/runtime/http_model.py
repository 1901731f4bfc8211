"""The model that all servers of the benchmark answer with, as a bundle and as a plain file, and a request for it."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from edge_runtime.bundle import Measured, manifest_path
from edge_runtime.session import EdgeModel
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.install.carried import DEVICE, MODEL, WIDTH, carry, small_model, wide_model

SIDE, LAYERS = 2048, 12
BATCHES = (1, 2, 4, 8, 16, 32, 64)
TURNS = 60
ROW = np.random.default_rng(9).standard_normal((1, WIDTH), dtype=np.float32)


@dataclass(frozen=True)
class BenchModel:
    """A model file, its bundle's manifest, and the median milliseconds of the session by rows."""

    path: Path
    manifest: Path
    milliseconds: dict[int, float]

    @property
    def ceiling(self) -> float:
        """The most rows per second that the session alone answers."""
        return max(rows / spent * 1e3 for rows, spent in self.milliseconds.items())


def small_bench_model(folder: Path) -> BenchModel:
    """Make a model that takes next to no time, so that the rest is seen."""
    return _made(folder, small_model(folder / "model", 1)["model.onnx"])


def large_bench_model(folder: Path) -> BenchModel:
    """Make a model of 201 MB whose weights take longer to read than to use: it gains by batches."""
    return _made(folder, wide_model(folder / "model", 1, SIDE, LAYERS))


def _made(folder: Path, path: Path) -> BenchModel:
    model = EdgeModel.load(path, SessionSettings(threads=1))
    spent = {rows: median_ms(partial(model.predict, {"x": np.repeat(ROW, rows, axis=0)})) for rows in BATCHES}
    measured = Measured({"peak_rss_mb": 200.0}, {str(rows): ms for rows, ms in spent.items()})
    carried = carry(folder / "target", folder / "scratch", 1, files={"model.onnx": path}, measured=measured)
    return BenchModel(path, manifest_path(carried.root, MODEL, DEVICE, carried.digest), spent)


def median_ms(call: Callable[[], object], turns: int = TURNS) -> float:
    """Return the median milliseconds of a call, after three that do not count."""
    times = []
    for turn in range(turns + 3):
        begun = time.perf_counter()
        call()
        times.append((time.perf_counter() - begun) * 1e3 if turn >= 3 else 0.0)
    return median(times[3:])


def json_request() -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a request as JSON."""
    tensor = {"name": "x", "datatype": "FP32", "shape": list(ROW.shape), "data": ROW.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode(), {"Content-Type": "application/json"}


def binary_request() -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a request with binary data, whose answer is binary data too."""
    tensor = {"name": "x", "datatype": "FP32", "shape": list(ROW.shape), "parameters": {"binary_data_size": ROW.nbytes}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return head + ROW.tobytes(), headers
