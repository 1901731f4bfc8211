"""`python -m edge_runtime.install.tuning_worker REQUEST.json`: writes graphs as they are optimized for this CPU.

Large weights of each go into one file beside it, packed as the kernels want them. Its name is its sha256, as that of
all weights, so the graph's own digest stands for both.
"""

import json
import sys
from pathlib import Path

import onnxruntime as ort

from edge_runtime.files import sha256_of
from edge_runtime.session import session_options
from edge_runtime.settings import SessionSettings

_LEAST_BYTES = 1024
_PLACE = "0" * 64


def main(arguments: list[str]) -> int:
    """Write the graphs of the request into its folder, under their names; return 0."""
    request = json.loads(Path(arguments[0]).read_text())
    settings = SessionSettings.from_plain(request["session"])
    for name, graph in request["graphs"].items():
        _write(Path(graph), Path(request["folder"], name), settings)
    return 0


def _write(graph: Path, target: Path, settings: SessionSettings) -> None:
    options = session_options(settings)
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", _PLACE)
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", str(_LEAST_BYTES)
    )
    options.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
    ort.InferenceSession(str(graph), options, providers=[settings.execution_provider])
    _name_by_content(target)


def _name_by_content(graph: Path) -> None:
    """Give the file of weights its sha256 as its name, in the graph too: both names have 64 bytes."""
    weights = graph.with_name(_PLACE)
    if not weights.exists() or not weights.stat().st_size:
        weights.unlink(missing_ok=True)
        return
    digest = sha256_of(weights)
    weights.rename(graph.with_name(digest))
    graph.write_bytes(graph.read_bytes().replace(_PLACE.encode(), digest.encode()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
