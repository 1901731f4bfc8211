"""A bundle of two files, written by tests and by the child processes that they kill."""

from pathlib import Path

from edge_runtime.bundle import TensorSpec, write_bundle
from edge_runtime.settings import SessionSettings


def write(target: Path | str, version: str) -> Path:
    """Write a bundle of a.onnx and b.onnx, which lie beside the target."""
    tensor = TensorSpec("x", "float32", (None, 8))
    weights = Path(target).parent
    return write_bundle(
        target,
        model="linear",
        version=version,
        device="gateway",
        entry="a.onnx",
        inputs=[tensor],
        outputs=[tensor],
        session=SessionSettings(threads=1),
        lineage={},
        files={"a.onnx": weights / "a.onnx", "b.onnx": weights / "b.onnx"},
    )
