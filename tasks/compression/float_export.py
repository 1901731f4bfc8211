"""Float snapshots into ONNX files."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import nn

from edge_runtime.errors import MeasurementFailed
from edge_runtime.measurement import MeasureRequest, measure
from edge_runtime.settings import SessionSettings
from model_compression.errors import ExportError
from model_compression.onnx_files import check_shrunk, export_onnx
from model_compression.training import predict
from tasks.job import Job
from tasks.store import StageResult
from tasks.upstream import OnnxParent, Parent, TorchParent

logger = logging.getLogger("edgewright")
CODE = ("model_compression", "tasks.compression.float_export")
FILE = "model.onnx"
PARITY_ROWS = 32
TIMEOUT_S = 300.0
PARITY = 1e-3  # of the largest output: float kernels differ in summation order


class Trained(Protocol):
    """A float model on disk: a snapshot or a student."""

    @property
    def digest(self) -> str: ...
    @property
    def title(self) -> str: ...
    def load(self, parent: TorchParent) -> nn.Module: ...


@dataclass(frozen=True)
class ModelFile:
    """An ONNX file with the digest of its stage and what it cost to make."""

    path: Path
    digest: str
    seconds: float

    @classmethod
    def of(cls, stage: StageResult) -> "ModelFile":
        """The file that a stage made."""
        return cls(stage.folder / FILE, stage.digest, stage.seconds)


def export_snapshot(job: Job, parent: Parent, snapshot: Trained) -> ModelFile:
    """Export a float snapshot; of an ONNX upstream that is its own file, which intake has checked.

    Raises ExportError when the file holds what was removed from the model, and when ONNX Runtime in a clean process
    answers otherwise than torch.
    """

    if isinstance(parent, OnnxParent):
        return ModelFile(parent.file, parent.digest, 0.0)

    def produce(folder: Path) -> dict[str, float]:
        model = snapshot.load(parent)
        export_onnx(model, parent.example, parent.names, folder / FILE)
        check_shrunk(model, folder / FILE)
        rows = tuple(array[:PARITY_ROWS] for array in job.splits["validation"].inputs)
        return {"parity": _parity(folder / FILE, parent, rows, predict(model, rows))}

    inputs = {"parent": parent.digest, "snapshot": snapshot.digest, **job.digests("validation")}
    return ModelFile.of(job.workspace.store.run("export", inputs, CODE, produce))


def _parity(path: Path, parent: TorchParent, rows: tuple[np.ndarray, ...], expected: np.ndarray) -> float:
    """The largest difference between torch here and the file in a process of its own, to the largest output."""
    inputs = dict(zip(parent.names, rows, strict=True))
    asked = MeasureRequest(path, inputs, SessionSettings(threads=1), len(expected), latency_warmup=0, latency_repeats=1)
    try:
        (got,) = measure(asked, TIMEOUT_S).outputs
    except MeasurementFailed as error:
        raise ExportError(f"{path.name}: expected it to answer in a process of its own, got: {error}") from error
    difference = float(np.abs(got - expected).max() / max(1e-12, np.abs(expected).max()))
    if not difference <= PARITY:
        raise ExportError(
            f"{path.name}: expected ONNX Runtime to answer as torch within {PARITY:g} of the largest output, got "
            f"{difference:.3g} on {len(expected)} rows; report this with the model's graph, and give the workload a "
            "build_model() that avoids the operator"
        )
    return difference
