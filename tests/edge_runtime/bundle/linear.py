"""A bundle of the linear model, written with changes of its description."""

from pathlib import Path
from typing import Any

from edge_runtime.bundle import (
    QUANTILES,
    Blob,
    DeclaredHead,
    Delta,
    Golden,
    Manifest,
    Measured,
    Spread,
    TensorSpec,
    Validity,
    blobs_of,
    write_bundle,
)
from edge_runtime.files import sha256_of
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


def everything(files: dict[str, Path]) -> dict[str, Any]:
    """Return the fields of a manifest that may be left out, filled; `files` has golden.npz and head.scores.onnx too."""
    quantiles = tuple(float(share) for share in QUANTILES)
    return {
        "lineage": {"source_model": "digits", "verdict": "pass", "release": "4"},
        "golden": Golden("golden.npz", 8, 1, {"y": 1e-3}),
        "validity": Validity(("avx2",), elsewhere=False),
        "measured": Measured({"size_bytes": 300, "latency_p50_ms": 0.25}, {"1": 0.25, "8": 1.5}),
        "spreads": (Spread("x", 16, 0.5, 1.0, quantiles), Spread("y", 16, -0.5, 2.0, quantiles)),
        "documents": (Blob("sbom.cdx.json", "c" * 64, 12),),
        "heads": (DeclaredHead("scores", "head.scores.onnx", ("y",)),),
        "deltas": (Delta(sha256_of(files["model.onnx"]), "d" * 64, "e" * 64, 7),),
    }


def write(target: Path, model: Path, /, files: dict[str, Path] | None = None, **changes: Any) -> Path:
    """Write a bundle whose graph is `model`; `changes` are fields of its manifest."""
    files = {"model.onnx": model} if files is None else files
    return write_bundle(target, described(files, **changes), files)
