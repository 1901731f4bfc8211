"""Estimate of what a run costs at most, from measured training steps and one measured evaluation batch.

Nothing of it is kept, and no result depends on it: it is what a person asks before a long run.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import onnx

from deployments.mapped import MOST_BYTES
from deployments.techniques import FineTune
from deployments.workload import soft_labels_of
from edge_runtime.measurement import peak_mb
from model_compression.training import Arrays, fine_tune, predict, soft_label_loss
from tasks.compression.rung_files import ROWS, SLICE_ROWS
from tasks.job import Job
from tasks.upstream import OnnxParent, Parent, TorchParent

STEPS = 3
"""Training steps that are taken; the shortest counts, as the first one also prepares."""
BATCH_ROWS, ALONE_ROWS = 256, 16
_FLOAT_BYTES = 4
_MIB = 1 << 20


@dataclass(frozen=True)
class CostLine:
    """One kind of work: how often it is done at most, and the seconds of one time."""

    what: str
    times: int
    seconds: float

    @property
    def total(self) -> float:
        """The seconds of all times."""
        return self.times * self.seconds


@dataclass(frozen=True)
class CostEstimate:
    """The work of a run at most, line by line, with its peak memory and its files in MiB.

    `step_s` is a training step, None for a model that is not trained; `row_s` a row among others, `alone_s` a row by
    itself. `free_mb` is what the disk has left.
    """

    lines: tuple[CostLine, ...]
    step_s: float | None
    row_s: float
    alone_s: float
    memory_mb: float
    disk_mb: float
    free_mb: float

    @property
    def seconds(self) -> float:
        """The time of all lines."""
        return sum(line.total for line in self.lines)


def estimate_cost(job: Job, parent: Parent) -> CostEstimate:
    """Measure training steps and evaluations of the parent, and count by the recipe how often a run does them at most.

    A round of pruning, a student or quantization-aware training is taken to cost as many of the parent's own steps;
    smaller models take less. Raises what training raises.
    """
    validation = job.splits["validation"].inputs
    row_s = _seconds_a_row(parent, validation, BATCH_ROWS)
    alone_s = _seconds_a_row(parent, validation, ALONE_ROWS, one_by_one=True)
    step_s = _step_seconds(job, parent) if isinstance(parent, TorchParent) else None
    lines = tuple(_lines(job, step_s, row_s, alone_s, _weights(parent)))
    outputs = _output_bytes(job, parent)
    return CostEstimate(
        lines, step_s, row_s, alone_s,
        memory_mb=peak_mb() + min(outputs, MOST_BYTES) / _MIB,
        disk_mb=(outputs + _model_bytes(job, parent)) / _MIB,
        free_mb=shutil.disk_usage(job.workspace.home).free / _MIB,
    )  # fmt: skip


def _lines(job: Job, step_s: float | None, row_s: float, alone_s: float, layers: int) -> Iterator[CostLine]:
    recipe, rows = job.recipe, {name: len(split) for name, split in job.splits.items()}
    yield CostLine("the parent's answers to all rows", 1, row_s * sum(rows.values()))
    validated = row_s * rows["validation"]
    if step_s is not None:

        def training(settings: FineTune) -> float:
            batches = -(-rows["train"] // settings.batch_size)
            share = settings.batch_size / recipe.prune.fine_tune.batch_size
            return settings.epochs * (batches * step_s * share + validated)

        yield CostLine("pruning rounds", recipe.prune.max_rounds, training(recipe.prune.fine_tune))
        if recipe.distil is not None:
            students = len(recipe.distil.depths) * len(job.devices)
            yield CostLine("students", students, training(recipe.distil.fine_tune))
        for rung in (rung for rung in recipe.ladder if rung.trains):
            yield CostLine(f"trainings by {rung.title}", len(job.devices), training(rung.fine_tune))  # type: ignore[union-attr]
    looked_at = min(rows["validation"], ROWS + SLICE_ROWS * len(recipe.critical_slices))
    for device in job.devices:
        measured = alone_s * (rows["validation"] + device.measure.warmup + device.measure.repeats)
        yield CostLine(f"measured files, {device.name}", _files(job, len(recipe.rungs(device))), measured)
        yield CostLine(f"the test rows, {device.name}", 1, alone_s * rows["test"])
        if recipe.layer_losses:
            yield CostLine(f"what each layer costs, {device.name}", layers, row_s * looked_at)


def _files(job: Job, rungs: int) -> int:
    """Return the largest number of files of one device: the search's budget, or each rung of each snapshot."""
    search = job.recipe.search
    return rungs * (job.recipe.prune.max_rounds + 1) if search is None else search.files + search.trainings


def _seconds_a_row(parent: Parent, inputs: Arrays, most: int, *, one_by_one: bool = False) -> float:
    rows = tuple(array[:most] for array in inputs)
    asked = [tuple(array[at : at + 1] for array in rows) for at in range(len(rows[0]))] if one_by_one else [rows]
    answer = _answering(parent)
    answer(asked[0])  # the first call prepares
    began = time.perf_counter()
    for part in asked:
        answer(part)
    return (time.perf_counter() - began) / len(rows[0])


def _answering(parent: Parent) -> Callable[[Arrays], np.ndarray]:
    if isinstance(parent, OnnxParent):
        return parent.answers
    model = parent.build()
    return lambda rows: predict(model, rows)


def _step_seconds(job: Job, parent: TorchParent) -> float:
    """Return the shortest time of a training step as a pruning round takes it, with the parent's answers."""
    settings, train = job.recipe.prune.fine_tune.settings(), job.splits["train"]
    count = min(STEPS * settings.batch_size, len(train))
    rows, targets = tuple(array[:count] for array in train.inputs), train.targets[:count]
    outputs = parent.answers(rows)
    soft_labels = soft_labels_of(job.workload, outputs, targets)
    times = [time.perf_counter()]
    fine_tune(
        parent.build(), rows, targets, None if soft_labels is None else outputs, job.loss,
        replace(settings, epochs=1, patience=None), lambda *_: times.append(time.perf_counter()),
        soft_labels=soft_labels or soft_label_loss,
    )  # fmt: skip
    return float(np.diff(times).min())


def _weights(parent: Parent) -> int:
    """Count the matrices and kernels of a model, which is about the number of its layers."""
    if isinstance(parent, OnnxParent):
        shapes = [tensor.dims for tensor in onnx.load(parent.file, load_external_data=False).graph.initializer]
    else:
        shapes = [weight.shape for weight in parent.build().parameters()]
    return sum(len(shape) > 1 for shape in shapes)


def _output_bytes(job: Job, parent: Parent) -> float:
    rows = tuple(array[:2] for array in job.splits["validation"].inputs)
    return float(parent.answers(rows)[0].nbytes * sum(map(len, job.splits.values())))


def _model_bytes(job: Job, parent: Parent) -> float:
    """Return the bytes of all models that a run may keep: float snapshots with their ONNX files, and files of rungs."""
    count, _ = parent.footprint()
    kept = 0.0
    for device in job.devices:
        rungs = job.recipe.rungs(device)
        largest = max(rung.bytes_per_parameter for rung in rungs)
        kept += _files(job, len(rungs)) * largest * count
    floats = 1 + (job.recipe.prune.max_rounds if isinstance(parent, TorchParent) else 0)
    return kept + floats * 2 * _FLOAT_BYTES * count
