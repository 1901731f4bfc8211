"""Students: the widest network that keeps a device's budgets as measured, distilled from the parent."""

import logging
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from torch import nn

from deployments.techniques import Distil
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.files import sha256_of
from model_compression.onnx_files import export_onnx, make_portable
from model_compression.pruning import load_snapshot, load_weights
from model_compression.quantization import quantize_after_training
from model_compression.students import Architecture, Interface, build_student, widest
from model_compression.training import FineTuning, fine_tune
from quality_gates.evidence import Evidence, ModelEvidence
from quality_gates.gates import GatePolicy, decide
from tasks.compression.distillation_targets import fine_tune_with_parent
from tasks.compression.float_models import KEEPING, LOADING, OUTPUTS, MeasuredFloatModel, keep_float_model
from tasks.errors import SystemFailure
from tasks.measurement import machine, measure_resources
from tasks.progress import as_task
from tasks.store import digest_of
from tasks.upstream import Context, DeviceContext, TorchParent

logger = logging.getLogger("edgewright")
FIT_CODE = (
    build_student, widest, export_onnx, quantize_after_training, make_portable, measure_resources, decide,
    "edge_runtime.measurement", __name__,
)  # fmt: skip
CODE = (*LOADING, *KEEPING, fine_tune_with_parent, fine_tune, __name__)
SAMPLE_ROWS = 32  # enough to quantize and to time; what they answer is of no interest yet


@dataclass(frozen=True)
class Student(MeasuredFloatModel):
    """A trained student; to the ladder it is one more snapshot. `outputs` are the float model's on validation."""

    architecture: Architecture
    interface: Interface
    seed: int
    digest: str
    folder: Path
    parameters: int
    weight_bytes: int  # as INT8, without the graph
    accuracy: float  # on validation
    outputs: Path
    seconds: float

    @property
    def title(self) -> str:
        """The name of this student in reports."""
        return f"student {self.architecture.family} {self.architecture.width}x{self.architecture.depth}"

    def load(self, parent: TorchParent) -> nn.Module:
        """Return the module in evaluation mode."""
        return load_snapshot(
            self.folder,
            lambda: _build(parent, self.architecture, self.interface, self.seed),
            parent.example,
        )


def check_students(context: Context) -> None:
    """Build the smallest student before any long work. Raises StudentError or ConfigurationError."""
    settings = context.job.recipe.distil
    if settings is not None and context.trainable:
        untrained_student(context, settings, Architecture(settings.family, settings.widths[0], settings.depths[0]))


@task(name="distil", task_run_name="distil {context.device.name}", cache_policy=NO_CACHE)
def distil(context: DeviceContext) -> Student | None:
    """Distil the best student that fits a device; None where none is asked for, none fits, or nothing can be trained.

    Where several depths fit, each is trained for one epoch, and the most accurate on validation is trained in full.
    """
    settings, device = context.job.recipe.distil, context.device
    if settings is None or not context.trainable:
        return None
    parent = context.torch_parent
    interface = Interface.of(parent.build(), parent.example)
    fitting = [found for depth in settings.depths if (found := _fitted(context, settings, interface, depth))]
    if not fitting:
        logger.warning("%s: no student of width %d or more fits its budgets", device.name, settings.widths[0])
        return None
    full = settings.fine_tune.settings()
    if len(fitting) > 1:
        trial = replace(full, epochs=1, patience=None)
        fitting.sort(key=lambda architecture: _distilled(context, interface, architecture, trial).accuracy)
    student = _distilled(context, interface, fitting[-1], full)
    logger.info(
        "%s: %s, %s parameters, validation %s %.3f (%.1f s)",
        device.name,
        student.title,
        f"{student.parameters:,}",
        context.job.score_word,
        student.accuracy,
        student.seconds,
    )
    return student


def untrained_student(context: Context, settings: Distil, architecture: Architecture) -> nn.Module:
    """Return a student with fresh weights. Raises StudentError or ConfigurationError where it cannot be built."""
    parent = context.torch_parent
    interface = Interface.of(parent.build(), parent.example)
    return _build(parent, architecture, interface, settings.fine_tune.seed)


def distil_as(
    context: Context, settings: Distil, architecture: Architecture, training: FineTuning, start: Path | None
) -> Student:
    """Distil a student of a given architecture, on from the weights in a file where one is given.

    Raises StudentError for an architecture that cannot be built, SnapshotError for weights that do not fit it.
    """
    parent = context.torch_parent
    interface = Interface.of(parent.build(), parent.example)
    return _distilled(context, interface, architecture, replace(training, seed=settings.fine_tune.seed), start)


def _build(parent: TorchParent, architecture: Architecture, interface: Interface, seed: int) -> nn.Module:
    own = parent.workload.build_student if architecture.family == "own" else None
    return build_student(architecture, interface, seed, own)


def _fitted(context: DeviceContext, settings: Distil, interface: Interface, depth: int) -> Architecture | None:
    """Return the widest of one depth that keeps the device's budgets as an INT8 file, measured with fresh weights."""
    job, parent, device = context.job, context.torch_parent, context.device

    def produce(folder: Path) -> dict[str, Any]:
        tried: list[dict[str, Any]] = []

        def fits(width: int) -> bool:
            architecture = Architecture(settings.family, width, depth)
            model = _build(parent, architecture, interface, settings.fine_tune.seed)
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                missed = _missed_budgets(context, model, Path(scratch))
            tried.append({"width": width, "missed": missed})
            return not missed

        return {"width": widest(settings.widths, fits), "tried": tried}

    try:
        measuring = machine(device)
    except MeasurementInterrupted as error:
        raise SystemFailure(f"The student for {device.name} was not measured. {error}") from error
    inputs = {
        "interface": repr(interface),
        "family": settings.family,
        "widths": list(settings.widths),
        "depth": depth,
        "seed": settings.fine_tune.seed,
        "device": digest_of(device.model_dump(mode="json")),
        "machine": measuring,
        **job.digests("calibration"),
    }
    width = context.store.run("student-fit", inputs, FIT_CODE, produce).value["width"]
    return None if width is None else Architecture(settings.family, width, depth)


def _missed_budgets(context: DeviceContext, model: nn.Module, folder: Path) -> list[str]:
    parent, device = context.torch_parent, context.device
    rows = tuple(array[:SAMPLE_ROWS] for array in context.job.splits["calibration"].inputs)
    export_onnx(model, parent.example, parent.names, folder / "float.onnx")
    made = quantize_after_training(
        folder / "float.onnx", rows, folder / "made.onnx", method="minmax", reduce_range=device.saturates
    )
    try:
        seen = measure_resources(device, make_portable(made, folder / "portable"), rows)
    except MeasurementInterrupted as error:  # no fact about the student's size, so it must not be kept as one
        raise SystemFailure(f"The student for {device.name} was not measured. {error}") from error
    except MeasurementFailed as error:
        return [str(error)]
    budgets = decide(GatePolicy(gates=device.budgets.limits()), Evidence(ModelEvidence(None, seen), None, None))
    return [gate.name for gate in budgets.gates if gate.outcome != "pass"]


def _distilled(
    context: Context, interface: Interface, architecture: Architecture, settings: FineTuning, start: Path | None = None
) -> Student:
    job, parent = context.job, context.torch_parent

    def produce(folder: Path) -> dict[str, Any]:
        model = _build(parent, architecture, interface, settings.seed)
        if start is not None:
            load_weights(model, start)
        fine_tune_with_parent(context, model, settings, f"distilling {architecture}")
        return keep_float_model(job, folder, model, [])

    inputs = {
        "parent": parent.digest,
        "interface": repr(interface),
        "architecture": repr(architecture),
        "settings": repr(settings),
        "start": None if start is None else sha256_of(start),
        **job.digests("train", "validation"),
    }
    stage = context.store.run("student", inputs, CODE, as_task("student", f"student {architecture}", produce))
    return Student(
        architecture=architecture,
        interface=interface,
        seed=settings.seed,
        digest=stage.digest,
        folder=stage.folder,
        outputs=stage.folder / OUTPUTS,
        seconds=stage.seconds,
        **stage.value,
    )
