"""`python -m edge_runtime.profiling.profiled_process REQUEST.json`: a process that is looked at while it has a model.

It says one line of JSON on stdout, and ends when its stdin does. Without a graph it loads nothing; with `calls` it lets
ONNX Runtime write down each operator of so many calls.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from edge_runtime.execution_providers import use_provider
from edge_runtime.session import EdgeModel, session_options
from edge_runtime.settings import SessionSettings


def main(arguments: list[str]) -> int:
    """Do what the request says; return 0."""
    request = json.loads(Path(arguments[0]).read_text())
    said: dict[str, Any] = {}
    if request["graph"] is not None:
        graph, settings = Path(request["graph"]), SessionSettings.from_plain(request["session"])
        with np.load(request["rows"], allow_pickle=False) as archive:
            rows = {name.removeprefix("in."): array for name, array in archive.items()}
        if request["calls"]:
            said = {"events": _operators(graph, settings, rows, request["calls"], request["prefix"])}
        else:
            began = time.perf_counter_ns()
            model = EdgeModel.load(graph, settings)
            loaded = time.perf_counter_ns()
            model.predict(rows)
            said = {"load_ms": (loaded - began) / 1e6, "first_answer_ms": (time.perf_counter_ns() - began) / 1e6}
    print(json.dumps(said), flush=True)  # noqa: T201
    sys.stdin.buffer.read()
    return 0


def _operators(graph: Path, settings: SessionSettings, rows: dict[str, np.ndarray], calls: int, prefix: str) -> str:
    """Run so many calls, and return the path of ONNX Runtime's own record of them."""
    options = session_options(settings)
    options.enable_profiling = True
    options.profile_file_prefix = prefix
    session = ort.InferenceSession(str(graph), options, providers=use_provider(options, settings.execution_provider))
    for _ in range(calls):
        session.run(None, rows)
    return str(session.end_profiling())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
