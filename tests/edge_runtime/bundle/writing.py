"""A bundle of a graph and its weights, written by tests and by the child processes that they kill."""

from pathlib import Path

from edge_runtime.bundle import RuntimeRange, TensorSpec, write_bundle
from edge_runtime.model_files import MODEL, model_files
from edge_runtime.settings import SessionSettings


def write(target: Path | str, version: str) -> Path:
    """Write a bundle of the portable model that lies beside the target."""
    tensor = TensorSpec("x", "float32", (None, 8))
    return write_bundle(
        target,
        model="linear",
        version=version,
        device="gateway",
        entry=MODEL,
        inputs=[tensor],
        outputs=[tensor],
        session=SessionSettings(threads=1),
        onnxruntime=RuntimeRange("1.0", "99.0"),
        lineage={},
        files=model_files(Path(target).parent / MODEL),
    )
