"""A bundle of the linear model, written with changes of its description."""

from pathlib import Path
from typing import Any

from edge_runtime.bundle import Manifest, TensorSpec, blobs_of, write_bundle
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.models import RUNNING


def described(files: dict[str, Path], **changes: Any) -> Manifest:
    """Return the manifest of a linear model with these files; `changes` are its fields."""
    given: dict[str, Any] = {
        "model": "linear",
        "version": "3",
        "device": "gateway",
        "entry": "model.onnx",
        "inputs": (TensorSpec("x", "float32", (None, 8)),),
        "outputs": (TensorSpec("y", "float32", (None, 3)),),
        "session": SessionSettings(threads=1),
        "onnxruntime": RUNNING,
        "lineage": {},
        "blobs": blobs_of(files),
    }
    return Manifest(**given | changes)


def write(target: Path, model: Path, /, files: dict[str, Path] | None = None, **changes: Any) -> Path:
    """Write a bundle whose graph is `model`; `changes` are fields of its manifest."""
    files = {"model.onnx": model} if files is None else files
    return write_bundle(target, described(files, **changes), files)
