"""Files of the ladder's rungs, each made as a stage from one float model, and samples of rows to make them with."""

import logging
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from torch import fx

from deployments.answers import answers_of
from deployments.device import LocalProcess
from deployments.rungs import AsItIs, FloatModel, Half, PostTraining, Rung
from deployments.workload import Split
from edge_runtime.cpu import this_cpu
from edge_runtime.model_files import model_bytes, model_digest
from model_compression import quantization
from model_compression.errors import ExportError, QuantizationError
from model_compression.families import answers_apart
from model_compression.onnx_files import OUTPUT, make_portable, recurrent_note
from model_compression.quantization import faster_in_float, train_quantized
from model_compression.training import FineTuning
from quality_gates.errors import EvidenceError
from quality_gates.evidence import in_slice
from quality_gates.policy import SliceCondition
from tasks.compression.distillation_targets import distillation_targets
from tasks.compression.family_files import CODE as FAMILY
from tasks.compression.family_files import family_by_rung, new_heads_by_rung, portable_model
from tasks.compression.float_models import FILE, LOADING, FloatSource, ModelFile, UpdatedFamily, export_snapshot
from tasks.compression.new_heads import training_of_head
from tasks.errors import SystemFailure
from tasks.progress import as_task, steps
from tasks.store import Code
from tasks.upstream import REMEDY, Context, DeviceContext

ROWS = 400
SLICE_ROWS = 100  # of each slice that an even spread may miss
logger = logging.getLogger("edgewright")
MINMAX = PostTraining(kind="ptq", calibration="minmax", float_where_faster=False)
"""The cheapest rung that makes integers: its file gives sizes and times before any rung is chosen."""


def some_rows(split: Split) -> Split:
    """Return at most `ROWS` rows, evenly spread."""
    return taken(split, _spread(np.arange(len(split)), ROWS))


def rows_with_slices(
    split: Split, conditions: Iterable[SliceCondition], labelled: pd.DataFrame | None = None
) -> tuple[Split, np.ndarray]:
    """Return evenly spread rows with up to `SLICE_ROWS` rows of each slice, and a mask of the evenly spread ones.

    An even spread may miss a rare slice, which is often the one that matters. `labelled` has the slice columns, and
    `target` where a slice is a class.
    """
    spread, rows = _spread(np.arange(len(split)), ROWS), split.slices if labelled is None else labelled
    chosen = np.unique(np.concatenate([spread, *(_of_slice(rows, condition) for condition in conditions)]))
    return taken(split, chosen), np.isin(chosen, spread)


def taken(split: Split, rows: np.ndarray) -> Split:
    """Return the split's rows with these numbers."""
    return Split(
        tuple(array[rows] for array in split.inputs),
        split.targets[rows],
        split.slices.iloc[rows].reset_index(drop=True),
    )


def _of_slice(rows: pd.DataFrame, condition: SliceCondition) -> np.ndarray:
    try:
        return _spread(np.flatnonzero(in_slice(rows, condition)), SLICE_ROWS)
    except EvidenceError:
        return np.zeros(0, dtype=int)


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)]


def make_file(context: DeviceContext, source: FloatSource, rung: Rung) -> ModelFile:
    """Make the file of a snapshot or student by one rung, for the context's device, in the portable form.

    Raises QuantizationError where the rung cannot quantize the model.
    """
    if rung.trains and not context.trainable:
        raise QuantizationError(f"expected a torch program for {rung.title}, got an ONNX file; {REMEDY}")
    in_float = () if isinstance(source, UpdatedFamily) else _in_float(context, source, rung)
    return make_rung(context, source, rung, reduce_range=context.device.saturates, in_float=in_float)


def make_rung(
    context: Context, source: FloatSource, rung: Rung, *, reduce_range: bool, in_float: tuple[str, ...] = ()
) -> ModelFile:
    """Make the portable file of a float model by one rung, with these layers in float.

    `reduce_range` keeps INT8 weights to 7 bits.
    """
    job, exported = context.job, export_snapshot(context, source)
    updated = source if isinstance(source, UpdatedFamily) else None
    if isinstance(rung, AsItIs) and updated is None:
        return float_file(context, source)

    def produce(folder: Path) -> dict[str, Any]:
        model = _float_model(context, source, exported, reduce_range, in_float)
        if updated is not None:
            training = {task: training_of_head(context, updated, task) for task in updated.new}
            note = new_heads_by_rung(rung, model, updated.kept, training, folder)
        else:
            note = (family_by_rung if job.tasks else _by_rung)(rung, model, folder)
        return {"rung": rung.model_dump(mode="json"), "note": note}

    inputs = {
        "source": exported.digest,
        "trained": source.digest if rung.trains else None,
        "rung": rung.model_dump(mode="json", exclude={"float_where_faster"}),
        "reduce_range": reduce_range,
        "in_float": list(in_float),
        **(job.digests(*rung.reads) if rung.reads else {}),
    }
    if updated is not None:
        inputs |= {"kept": model_digest(updated.kept), "new": list(updated.new)}
    title = f"{rung.title} of {source.title}{', weights of 7 bits' if reduce_range else ''}"
    computed = as_task("rung", title, produce)
    code = (*_code(rung), *FAMILY) if job.tasks else _code(rung)
    code = code if updated is None else (*code, training_of_head)
    stage = context.store.run(rung.kind, inputs, code, computed)
    return replace(ModelFile.of(stage), in_float=in_float, note=stage.value["note"])


def _by_rung(rung: Rung, model: FloatModel, folder: Path) -> str:
    """Make the portable file of one graph by a rung, and return what there is to say of it."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch) / FILE
        rung.make(model, made)
        make_portable(made, folder)
        return "" if isinstance(rung, Half) else recurrent_note(made)


def float_file(context: Context, source: FloatSource) -> ModelFile:
    """Return a float model's export in the portable form. Raises ExportError."""
    exported = export_snapshot(context, source)

    def produce(folder: Path) -> dict[str, int]:
        return {"bytes": model_bytes(portable_model(exported.path, folder))}

    code = (make_portable, portable_model, __name__)
    stage = context.store.run("portable", {"source": exported.digest}, code, produce)
    return replace(ModelFile.of(stage), seconds=exported.seconds + stage.seconds)


def float_bytes(context: Context, source: FloatSource) -> int | None:
    """Return the bytes of a float model in the form that is measured; None, with a warning, where it has no such file.

    A report shows it, also of models that no rung was tried on, so no answer may depend on it.
    """
    try:
        return float_file(context, source).size_bytes
    except (ExportError, SystemFailure) as error:
        logger.warning("%s: its float file has no size in the report. %s", source.title, error)
        return None


def _code(rung: Rung) -> tuple[Code, ...]:
    """Return the code that a rung's file depends on beside the float file."""
    trained = (*LOADING, distillation_targets, train_quantized) if rung.trains else ()
    maker = (getattr(quantization, rung.maker),) if rung.maker else ()
    return (*maker, type(rung), make_portable, *trained, __name__)


def _unit_of_scores(context: Context) -> float:
    """Return what a loss of score counts in: the parent's error where scores are errors, else 1.

    An error has the unit of the targets, in which a recipe's share of loss would mean nothing.
    """
    job = context.job
    if not job.workload.scores_are_errors:
        return 1.0
    return job.allowed_loss(1.0, job.mean_score(np.load(context.parent_outputs("validation"), mmap_mode="r"))) or 1.0


def _float_model(
    context: Context, source: FloatSource, exported: ModelFile, reduce_range: bool, in_float: tuple[str, ...]
) -> FloatModel:
    job = context.job
    validation = some_rows(job.splits["validation"])
    unit = _unit_of_scores(context)

    def score(outputs: np.ndarray) -> float:
        return answers_of(job.workload, outputs, validation.targets).mean_score / unit

    def train(path: Path, settings: FineTuning, *, reduce_range: bool, in_float: Sequence[str]) -> object:
        return _train(context, source, path, settings, reduce_range=reduce_range, in_float=in_float)

    calibration = job.splits["calibration"].inputs
    return FloatModel(exported.path, calibration, validation.inputs, score, reduce_range, in_float, train)


def _train(
    context: Context, source: FloatSource, path: Path, settings: FineTuning, *, reduce_range: bool,
    in_float: Sequence[str],
) -> object:  # fmt: skip
    """Train a float model with fake quantization, with the parent as the teacher."""
    job, parent, targets = context.job, context.torch_parent, distillation_targets(context)
    train = job.splits["train"]
    with steps(f"QAT of {source.title}") as progress:
        model = source.load(parent)
        return train_quantized(
            answers_apart(cast(fx.GraphModule, model), job.tasks) if job.tasks else model,
            parent.example,
            job.splits["calibration"].inputs,
            train.inputs,
            train.targets,
            targets.teacher,
            job.loss,
            settings,
            reduce_range=reduce_range,
            names=parent.names,
            path=path,
            in_float=in_float,
            progress=progress,
            validate=job.validation_score,
            augment=targets.augment,
            weights=targets.weights,
            soft_labels=targets.soft_labels,
            outputs=job.tasks or OUTPUT,
        )


def _in_float(context: DeviceContext, source: FloatSource, rung: Rung) -> tuple[str, ...]:
    """Return the layers that stay in float by a rung, because this machine computes them faster there.

    Where the recipe does not say, latency must matter, and the cheapest INT8 file with these layers in float must keep
    the budget of bytes. A device that measures elsewhere has a CPU of its own, which nobody asked about layers.
    """
    if rung.leaves_in_float:
        return _faster_in_float(context, export_snapshot(context, source))
    if not (rung.may_leave_in_float and context.latency_matters and isinstance(context.device.measure, LocalProcess)):
        return ()
    try:
        layers = _faster_in_float(context, export_snapshot(context, source))
        if not layers:
            return ()
        file = make_rung(context, source, MINMAX, reduce_range=context.device.saturates, in_float=layers)
    except QuantizationError as error:
        logger.info("%s of %s: no layer stays in float: %s", rung.title, source.title, error)
        return ()
    budget = context.device.budgets.size_bytes
    if file.size_bytes <= budget:
        return layers
    logger.info(
        "%s of %s: %d layers are faster in float, but the file would take %s bytes of %s with them: none stays there",
        rung.title, source.title, len(layers), f"{file.size_bytes:,}", f"{budget:,}",
    )  # fmt: skip
    return ()


def _faster_in_float(context: Context, source: ModelFile) -> tuple[str, ...]:
    """Return the layers of a float file that this machine computes faster in float; they are measured once."""
    calibration = context.job.splits["calibration"].inputs

    def produce(_: Path) -> list[str]:
        logger.info("layers are timed in float and in integers, which may take minutes")
        return list(faster_in_float(source.path, calibration))

    inputs = {"source": source.digest, "machine": this_cpu(), **context.job.digests("calibration")}
    layers = context.store.run("faster-in-float", inputs, (faster_in_float,), produce).value
    logger.info("faster in float than in integers: %s", ", ".join(layers) or "nothing")
    return tuple(layers)
