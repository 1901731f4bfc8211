"""One process of the benchmark: `HOW PATH`, where HOW is `plain` or `ours`, and PATH a model file or a device's store.

It imports what it needs, loads and answers once, says the milliseconds as JSON, and ends when its stdin does. Without a
PATH it loads nothing.
"""
# ruff: noqa: T201

import json
import sys
import time
from pathlib import Path

from tests.benchmarks.runtime.row import ROW

KEPT: list[object] = []
"""Models that stay loaded while this process is looked at."""


def plain(path: str) -> dict[str, float]:
    """Load with ONNX Runtime's own defaults but one thread, and answer once."""
    import onnxruntime

    if not path:
        return {}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    began = time.perf_counter()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    opened = time.perf_counter()
    session.run(None, {"x": ROW})
    KEPT.append(session)
    return {"load": (time.perf_counter() - began) * 1e3, "open": (opened - began) * 1e3}


def ours(path: str) -> dict[str, float]:
    """Load what a device runs, every byte verified, and answer once."""
    import edge_runtime.backbone  # noqa: F401 - loading does so later, in a process that serves long before
    from edge_runtime.install import DeviceStore, running

    if not path:
        return {}
    began = time.perf_counter()
    found = running(DeviceStore(Path(path), "gateway"), "camera")
    verified = time.perf_counter()
    model = found.load()
    opened = time.perf_counter()
    model.predict({"x": ROW})
    KEPT.append(model)
    now = time.perf_counter()
    return {"load": (now - verified) * 1e3, "open": (opened - verified) * 1e3, "verify": (verified - began) * 1e3}


if __name__ == "__main__":
    print(json.dumps({"plain": plain, "ours": ours}[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else "")), flush=True)
    sys.stdin.buffer.read()
