"""A bundle of a graph and its weights, written by tests and by the child processes that they kill."""

from pathlib import Path

from edge_runtime.bundle import RuntimeRange, TensorSpec
from edge_runtime.model_files import MODEL, model_files
from tests.edge_runtime.bundle.linear import write as write_linear


def write(target: Path | str, version: str) -> Path:
    """Write a bundle of the portable model that lies beside the target."""
    target = Path(target)
    graph, tensor = target.parent / MODEL, TensorSpec("x", "float32", (None, 8))
    return write_linear(
        target, graph, version=version, inputs=(tensor,), outputs=(tensor,), onnxruntime=RuntimeRange("1.0", "99.0"),
        files=model_files(graph),
    )  # fmt: skip
