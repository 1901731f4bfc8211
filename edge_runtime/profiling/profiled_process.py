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

from edge_runtime.backbone import load_model
from edge_runtime.execution_providers import use_provider
from edge_runtime.model_files import HeadGraph
from edge_runtime.session import session_options
from edge_runtime.settings import SessionSettings


def main(arguments: list[str]) -> int:
    """Do what the request says; return 0."""
    request = json.loads(Path(arguments[0]).read_text())
    said: dict[str, Any] = {}
    if request["graph"] is not None:
        graph, settings = Path(request["graph"]), SessionSettings.from_plain(request["session"])
        heads = [HeadGraph(name, Path(path), tuple(outputs)) for name, path, outputs in request["heads"]]
        with np.load(request["rows"], allow_pickle=False) as archive:
            rows = {name.removeprefix("in."): array for name, array in archive.items()}
        if request["calls"]:
            paths = [graph, *(head.path for head in heads)]
            said = {"events": _operators(paths, settings, rows, request["calls"], request["prefix"])}
        else:
            began = time.perf_counter_ns()
            model = load_model(graph, settings, heads)
            loaded = time.perf_counter_ns()
            model.predict(rows)
            said = {"load_ms": (loaded - began) / 1e6, "first_answer_ms": (time.perf_counter_ns() - began) / 1e6}
    print(json.dumps(said), flush=True)  # noqa: T201
    sys.stdin.buffer.read()
    return 0


def _operators(
    graphs: list[Path], settings: SessionSettings, rows: dict[str, np.ndarray], calls: int, prefix: str
) -> list[str]:
    """Run so many calls, and return the paths of ONNX Runtime's own records of them; heads read the first graph."""
    first, *heads = [_recording(graph, settings, f"{prefix}-{at}") for at, graph in enumerate(graphs)]
    for _ in range(calls):
        features = dict(zip((node.name for node in first.get_outputs()), first.run(None, rows), strict=True))
        for head in heads:
            head.run(None, {node.name: features[node.name] for node in head.get_inputs()})
    return [str(session.end_profiling()) for session in (first, *heads)]


def _recording(graph: Path, settings: SessionSettings, prefix: str) -> ort.InferenceSession:
    options = session_options(settings)
    options.enable_profiling = True
    options.profile_file_prefix = prefix
    providers = use_provider(options, settings.execution_provider)
    return ort.InferenceSession(str(graph), options, providers=providers)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
