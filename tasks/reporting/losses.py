"""Losses on the way to the chosen file: the cost of each stage, and the cost of INT8 in each layer alone."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.answers import answers_of
from model_compression.errors import CompressionError
from model_compression.quantization import one_layer_at_a_time
from quality_gates.evidence import ModelEvidence
from quality_gates.report import LayerRow, LedgerRow, SliceValue
from tasks.compression import (
    Snapshot,
    Student,
    Trajectory,
    export_snapshot,
    layers_one_at_a_time,
    rows_with_slices,
)
from tasks.job import Job, labelled_rows
from tasks.measurement import answer_rows
from tasks.reporting.judged_device import accuracy
from tasks.selection import Attempt
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
CALIBRATION = "minmax"
CODE = (one_layer_at_a_time, layers_one_at_a_time, rows_with_slices, answers_of, __name__)
SCORES = "scores.npy"


def ledger(job: Job, trajectory: Trajectory, chosen: Attempt, sizes: Mapping[str, int | None]) -> Iterator[LedgerRow]:
    """Yield the stages from the parent to the chosen file, each with the validation accuracy left after it.

    `sizes` are the bytes of float models by their digests.
    """
    for model in _way_to(trajectory, chosen.snapshot):
        answers = ModelEvidence(answer_rows(job, "validation", model.validation_outputs), resources=None)
        yield _ledger_row(job, model.title, answers, sizes[model.digest], model.seconds or None)
    yield _ledger_row(job, chosen.rung.title, chosen.measured, chosen.size_bytes, chosen.seconds)


def _way_to(trajectory: Trajectory, last: Snapshot | Student) -> list[Snapshot | Student]:
    if isinstance(last, Student):
        return [trajectory.snapshots[0], last]
    return [snapshot for snapshot in trajectory.snapshots if snapshot.index <= last.index]


def _ledger_row(job: Job, stage: str, model: ModelEvidence, size_bytes: int | None, seconds: float | None) -> LedgerRow:
    slices = tuple(SliceValue(name=str(c), value=accuracy(model, c)) for c in job.recipe.critical_slices)
    return LedgerRow(stage=stage, accuracy=accuracy(model), slices=slices, size_bytes=size_bytes, seconds=seconds)


@dataclass(frozen=True)
class LayerLosses:
    """Losses of each layer on some validation rows and some of each critical slice, or the `failure` to take them.

    `seconds` is the time that they took when they were computed.
    """

    rows: tuple[LayerRow, ...]
    validation_rows: int
    failure: str | None = None
    seconds: float = field(default=0.0, compare=False)


@task(name="layer losses", task_run_name="layer losses {context.device.name}", cache_policy=NO_CACHE)
def layer_losses(context: DeviceContext, chosen: Attempt) -> LayerLosses:
    """Quantize one layer of the chosen float model at a time; a model that cannot be quantized so gets the reason."""
    job, device = context.job, context.device
    given = job.splits["validation"]
    validation, spread = rows_with_slices(given, job.recipe.critical_slices, labelled_rows(job.workload, given))
    source = export_snapshot(context, chosen.snapshot)

    def produce(folder: Path) -> dict[str, list[object]]:
        layers, changes, scores = list[object](), list[object](), list[np.ndarray]()
        for alone in layers_one_at_a_time(
            source.path, job.splits["calibration"].inputs, validation.inputs, method=CALIBRATION,
            reduce_range=device.saturates,
        ):  # fmt: skip
            layers.append(alone.layer)
            changes.append(alone.output_change)
            scores.append(answers_of(job.workload, alone.outputs, validation.targets).scores.astype(float))
        np.save(folder / SCORES, np.stack(scores))  # the float file's, and those of each layer; outputs may be masks
        return {"layers": layers[1:], "changes": changes[1:]}

    inputs = {
        "source": source.digest,
        "reduce_range": device.saturates,
        "slices": [str(condition) for condition in job.recipe.critical_slices],  # they have rows of their own
        **job.digests("calibration", "validation"),
    }
    try:
        stage = context.store.run("layers", inputs, CODE, produce)
    except CompressionError as error:
        logger.warning("%s: %s", device.name, error)
        return LayerLosses((), int(spread.sum()), str(error))
    rows_of = labelled_rows(job.workload, validation)
    whole, *alone = (ModelEvidence(rows_of.assign(score=scores), None) for scores in np.load(stage.folder / SCORES))
    named = zip(stage.value["layers"], stage.value["changes"], alone, strict=True)
    rows = tuple(_layer_row(job, layer, change, whole, answers, spread) for layer, change, answers in named)
    return LayerLosses(rows, int(spread.sum()), seconds=stage.seconds)


def _layer_row(
    job: Job, layer: str, change: float, whole: ModelEvidence, answers: ModelEvidence, spread: np.ndarray
) -> LayerRow:
    """Return a layer's line; its overall loss is on the evenly spread rows alone, as rare rows would shift the mean."""
    slices = tuple(
        SliceValue(name=str(condition), value=_lost(accuracy(whole, condition), accuracy(answers, condition)))
        for condition in job.recipe.critical_slices
    )
    before, after = (float(each.rows["score"][spread].mean()) for each in (whole, answers) if each.rows is not None)
    return LayerRow(layer=layer, change=after - before, slices=slices, output_change=change)


def _lost(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
