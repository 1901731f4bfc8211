"""A bundle of the linear model, written with changes of its description."""

from pathlib import Path
from typing import Any

from edge_runtime.bundle import TensorSpec, write_bundle
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.models import RUNNING


def write(target: Path, model: Path, /, **changes: Any) -> Path:
    """Write a bundle whose graph is `model`; `changes` are arguments of write_bundle."""
    arguments: dict[str, Any] = {
        "model": "linear",
        "version": "3",
        "device": "gateway",
        "entry": "model.onnx",
        "inputs": [TensorSpec("x", "float32", (None, 8))],
        "outputs": [TensorSpec("y", "float32", (None, 3))],
        "session": SessionSettings(threads=1),
        "onnxruntime": RUNNING,
        "lineage": {},
        "files": {"model.onnx": model},
    }
    return write_bundle(target, **arguments | changes)
