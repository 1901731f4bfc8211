"""Float models of a compression on disk: snapshots of pruning, and their export into ONNX files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import nn

from deployments.mapped import write_outputs
from edge_runtime.backbone import answers_of_rows
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.measurement import MeasureRequest, measure
from edge_runtime.model_files import MODEL, heads_of, model_bytes
from edge_runtime.settings import SessionSettings
from model_compression.errors import ExportError
from model_compression.intake import load_into, load_program, rebuild
from model_compression.onnx_files import check_shrunk, export_onnx
from model_compression.pruning import (
    History,
    int8_weight_bytes,
    load_snapshot,
    parameters,
    read_history,
    save_snapshot,
)
from model_compression.students import build_student
from model_compression.training import predict
from tasks.compression.family_files import CODE as FAMILY
from tasks.compression.family_files import export_family
from tasks.errors import SystemFailure
from tasks.job import Job
from tasks.store import StageResult
from tasks.upstream import Context, OnnxParent, TorchParent

LOADING = (rebuild, load_into, load_program, load_snapshot, build_student)
"""The code that turns a float model on disk into a module."""
CODE = (*LOADING, export_onnx, check_shrunk, predict, "edge_runtime.measurement", __name__)
FILE = MODEL
OUTPUTS = "outputs.npy"
PROGRAM = "program.pt2"
"""The float model of a family as a program, which needs no parent to be loaded."""
PARITY_ROWS = 32
TIMEOUT_S = 300.0
PARITY = 1e-3  # of the largest output: float kernels differ in summation order


class FloatSource(Protocol):
    """A float model on disk: a snapshot or a student."""

    @property
    def digest(self) -> str:
        """Digest of everything that the model was made from."""

    @property
    def title(self) -> str:
        """The name of the model in reports."""

    def load(self, parent: TorchParent) -> nn.Module:
        """Return the module in evaluation mode."""


class MeasuredFloatModel:
    """A float model on disk, and the file of its outputs on the validation rows."""

    outputs: Path

    @property
    def validation_outputs(self) -> np.ndarray:
        """The float model's outputs on the validation rows."""
        outputs: np.ndarray = np.load(self.outputs, mmap_mode="r")
        return outputs


def keep_float_model(job: Job, folder: Path, model: nn.Module, history: History) -> dict[str, Any]:
    """Write a trained float model and its outputs on validation into a folder; returns its figures."""
    save_snapshot(folder, model, history)
    outputs = write_outputs(folder / OUTPUTS, partial(predict, model), job.splits["validation"].inputs)
    return {
        "parameters": parameters(model),
        "weight_bytes": int8_weight_bytes(model),
        "accuracy": job.mean_score(outputs),
    }


KEEPING = (keep_float_model, save_snapshot, int8_weight_bytes, predict, write_outputs)
"""The code that writes a trained float model."""


@dataclass(frozen=True)
class Snapshot(MeasuredFloatModel):
    """The model after a round of pruning. Round 0 is the parent itself.

    `outputs` is the file of the float model's outputs on the validation rows. `release` is the number of the release
    whose structure the model took on, where it did.
    """

    index: int
    digest: str
    folder: Path | None
    parameters: int
    weight_bytes: int  # as INT8, without the graph
    accuracy: float  # on validation
    outputs: Path
    seconds: float
    release: int | None = None

    @classmethod
    def original(cls, digest: str, parameters: int, weight_bytes: int, accuracy: float, outputs: Path) -> "Snapshot":
        """Return the parent as it was registered."""
        return cls(0, digest, None, parameters, weight_bytes, accuracy, outputs, 0.0)

    @classmethod
    def of(cls, stage: StageResult, index: int, release: int | None = None) -> "Snapshot":
        """Return the snapshot that a stage trained and kept."""
        return cls(
            index=index, digest=stage.digest, folder=stage.folder, outputs=stage.folder / OUTPUTS,
            seconds=stage.seconds, release=release, **stage.value,
        )  # fmt: skip

    @property
    def title(self) -> str:
        """The name of this snapshot in reports."""
        if self.release is not None:
            return f"structure of release {self.release}"
        return "parent" if self.folder is None else f"round {self.index}"

    @property
    def history(self) -> History:
        """The units that were removed, round by round."""
        return [] if self.folder is None else read_history(self.folder)

    def load(self, parent: TorchParent) -> nn.Module:
        """Return the module in evaluation mode."""
        return parent.build() if self.folder is None else load_snapshot(self.folder, parent.build, parent.example)


@dataclass(frozen=True)
class UpdatedFamily(Snapshot):
    """The float model of a family's release with new heads in the place of some of its own.

    `kept` is the release's file, whose backbone and other heads stay as they are. `origins` are the identities of the
    members' versions that its heads were made from, by task. `alike` says that the new heads lost what the former ones
    lost.
    """

    kept: Path = Path()
    new: tuple[str, ...] = ()
    alike: bool = False
    origins: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def title(self) -> str:
        """The name of this model in reports."""
        if not self.new:
            return f"release {self.release} as it is"
        heads = "head" if len(self.new) == 1 else "heads"
        size = ", as small as before" if self.alike else ""
        return f"release {self.release} with the new {heads} of {' and '.join(self.new)}{size}"

    def load(self, _parent: TorchParent) -> nn.Module:
        """Return the module in evaluation mode; it is a program of its own, as its heads are of several versions."""
        return rebuild(load_program(self.program)).eval()

    @property
    def program(self) -> Path:
        """The file of its program."""
        return self.outputs.parent / PROGRAM


@dataclass(frozen=True)
class ModelFile:
    """A model's graph on disk with the heads beside it, the digest of the stage that made it, and the seconds it took.

    What export_snapshot makes has all weights in its graphs. What is measured is in the portable form. `in_float`
    names the layers of a file of integers that were left in float, because they are faster there. `note`
    is a sentence for people on what a rung made of the model, empty where there is nothing to say.
    """

    path: Path
    digest: str
    seconds: float
    in_float: tuple[str, ...] = ()
    note: str = ""

    @classmethod
    def of(cls, stage: StageResult) -> "ModelFile":
        """Return the file that a stage made."""
        return cls(stage.folder / FILE, stage.digest, stage.seconds)

    @property
    def size_bytes(self) -> int:
        """Bytes of the graph, of the heads beside it, and of their files of weights."""
        return model_bytes(self.path)


def export_snapshot(context: Context, snapshot: FloatSource) -> ModelFile:
    """Export a float model into an ONNX file; return the upstream's own file where the upstream is an ONNX file.

    That of a family is its backbone, with the heads beside it. Raises ExportError where a file still holds what was
    removed from the model, or where ONNX Runtime in a clean process answers differently from torch.
    """
    parent, job = context.parent, context.job
    if isinstance(parent, OnnxParent):
        return ModelFile(parent.file, parent.digest, 0.0)

    def produce(folder: Path) -> dict[str, float]:
        model = snapshot.load(parent)
        if job.tasks:
            export_family(model, job.tasks, parent.example, parent.names, folder)
        else:
            check_shrunk(model, export_onnx(model, parent.example, parent.names, folder / FILE))
        rows = tuple(array[:PARITY_ROWS] for array in job.splits["validation"].inputs)
        return {"parity": _parity(folder / FILE, parent, rows, predict(model, rows))}

    inputs = {"parent": parent.digest, "snapshot": snapshot.digest, **job.digests("validation")}
    if not job.tasks:
        return ModelFile.of(context.store.run("export", inputs, CODE, produce))
    return ModelFile.of(context.store.run("export", inputs | {"tasks": job.tasks}, (*CODE, *FAMILY), produce))


def _parity(path: Path, parent: TorchParent, rows: tuple[np.ndarray, ...], expected: np.ndarray) -> float:
    """Return the largest difference between torch and the file in its own process, as a share of the largest output.

    Each head is held against its own largest output, as tasks count in different units.
    """
    inputs = dict(zip(parent.names, rows, strict=True))
    asked = MeasureRequest(
        path, inputs, SessionSettings(threads=1), len(expected), latency_warmup=0, latency_repeats=1,
        heads=heads_of(path),
    )  # fmt: skip
    try:
        outputs = measure(asked, TIMEOUT_S).outputs
    except MeasurementInterrupted as error:
        raise SystemFailure(f"The exported {path.name} gave no answers. {error}") from error
    except MeasurementFailed as error:
        raise ExportError(f"{path.name}: expected it to answer in a process of its own, got: {error}") from error
    difference = _largest_difference([answers_of_rows([each], asked.heads) for each in outputs], expected)
    if not difference <= PARITY:
        raise ExportError(
            f"{path.name}: expected ONNX Runtime to answer as torch within {PARITY:g} of the largest output, got "
            f"{difference:.3g} on {len(expected)} rows; report this with the model's graph, and give the workload a "
            "build_model() that avoids the operator"
        )
    return difference


def _largest_difference(outputs: Sequence[np.ndarray], expected: np.ndarray) -> float:
    """Return the largest difference of outputs (rows, ...), of which several stand side by side in what is expected."""
    places: list[int] = np.cumsum([output.shape[1] for output in outputs[:-1]]).tolist() if len(outputs) > 1 else []
    wanted = np.split(expected, places, axis=1) if len(outputs) > 1 else [expected]
    pairs = zip(outputs, wanted, strict=True)
    return float(np.max([np.abs(got - own).max() / max(1e-12, np.abs(own).max()) for got, own in pairs]))
