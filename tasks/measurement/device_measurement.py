"""Measurement of models as a device runs them: rows answered and resources taken, in a process of its own."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd

from deployments.answers import AnsweredRows, AskedRows, answers_of, asked_rows, joined, labelled
from deployments.device import DeviceProfile
from deployments.errors import ConfigurationError
from deployments.mapped import answered_at_once
from deployments.workload import SplitName, check_row_of_outputs
from edge_runtime.backbone import answers_of_rows
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted, SessionError
from edge_runtime.measurement import Figures, Measurement, MeasureRequest
from edge_runtime.model_files import HeadGraph, heads_of, model_digest
from edge_runtime.settings import Optimization, SessionSettings
from model_compression.training import Arrays
from quality_gates.evidence import BatchLatency, ModelEvidence, is_figure
from quality_gates.gates import Calibration, Gate, Limit
from quality_gates.policy import WORST_SCORES, probability_column
from quality_gates.statistics import row_scores
from tasks.device_link import machine_of, measure
from tasks.job import Job
from tasks.progress import as_task
from tasks.store import digest_of
from tasks.upstream import DeviceContext

_OF_TARGETS = ("either", "true")  # columns that stand also where an answer is no number
_ROUNDING = 1e-3  # by which float32 probabilities may miss a sum of 1
logger = logging.getLogger("edgewright")
MEASURED = {"threads", "execution_provider", "max_batch", "measure"}  # the part of a profile that figures depend on
CODE = ("edge_runtime.measurement", "tasks.device_link", __name__)  # whole packages: a worker is started by name


def session_settings(device: DeviceProfile) -> SessionSettings:
    """Return the settings with which the device runs a model."""
    return SessionSettings(threads=device.threads, execution_provider=device.execution_provider)


def measure_on(context: DeviceContext, file: Path, split: SplitName) -> ModelEvidence:
    """Measure a model on the context's device over a split; a failed measurement is evidence of its own.

    `file` is the path of its graph. The evidence has the digest of the files that the measuring process loaded.
    """
    job, device = context.job, context.device
    sizes = batch_sizes(job)

    def produce(folder: Path) -> dict[str, Any]:
        asked = request(device, file, job.splits[split].inputs)
        seen = measure(asked, device.measure)
        outputs = answers_of_rows(seen.outputs, asked.heads)
        check_form(job, split, outputs)
        check_measured(file, seen, digest)
        np.save(folder / "outputs.npy", outputs)
        batches = [_batch(job, device, file, split, size) for size in sizes]
        return {"figures": dict(seen.figures.known), "batches": batches, "sha256": seen.sha256}

    try:
        digest, measuring = model_digest(file), machine(device)
    except (SessionError, MeasurementInterrupted) as error:
        return failed(error)
    inputs = {
        "file": digest,
        "device": digest_of(json.loads(device.model_dump_json(include=MEASURED))),
        "split": split,
        "batch_sizes": sizes,
        "machine": measuring,
        **job.digests(split),
    }
    try:
        measured = as_task("measure", f"measure {device.name}, {split} rows", produce)
        stage = context.store.run("measure", inputs, CODE, measured)
    except MeasurementFailed as error:
        logger.warning("%s: %s", device.name, error)
        return replace(failed(error), file_sha256=str(inputs["file"]))
    rows = answer_rows(job, split, np.load(stage.folder / "outputs.npy", mmap_mode="r"))
    batches = tuple(BatchLatency(**batch) for batch in stage.value["batches"])
    return ModelEvidence(rows, Figures(**stage.value["figures"]), batches=batches, file_sha256=stage.value["sha256"])


def failed(error: MeasurementFailed | SessionError, where: str = "") -> ModelEvidence:
    """Return a failed measurement as evidence; `where` is the beginning of its sentence."""
    interrupted = isinstance(error, MeasurementInterrupted)
    return ModelEvidence(rows=None, resources=None, failure=f"{where}{error}", interrupted=interrupted)


def check_measured(file: Path, seen: Measurement, digest: str) -> None:
    """Raise MeasurementInterrupted unless the measuring process loaded the files of this digest."""
    if seen.sha256 != digest:
        raise MeasurementInterrupted(
            f"{file.name}: expected to measure the model with sha256 {digest}, got {seen.sha256}; its files changed "
            "meanwhile: look at the disk and compress the version again"
        )


def measure_resources(device: DeviceProfile, file: Path, rows: Arrays) -> Figures:
    """Measure a file's resources on a device profile, on a few rows; raises MeasurementFailed."""
    return measure(request(device, file, rows), device.measure).figures


def check_form(job: Job, split: SplitName, outputs: np.ndarray) -> None:
    """Raise MeasurementFailed for outputs of a form that the workload does not score, as an older model's may be."""
    try:
        check_row_of_outputs(job.workload, outputs.shape[1:], {split: job.splits[split]})
    except ConfigurationError as error:
        raise MeasurementFailed(f"{error}; a model with outputs of another form cannot be compared") from error


def answer_rows(job: Job, split: SplitName, outputs: np.ndarray) -> pd.DataFrame:
    """Return a frame with one line per row: row_id, prediction, score and the slice columns.

    Each row of a family is answered by its own task. Raises ConfigurationError when the workload does not give one
    prediction and one score for every row.
    """
    rows = job.splits[split]
    asked = asked_rows(job.workload, outputs, rows.targets)
    found = [pd.DataFrame(_answered(job, each), index=each.rows) for each in asked]
    frame = pd.concat(found).reindex(range(len(rows)))
    if len(found) > 1:
        _fill(frame, found)
    frame.insert(0, "row_id", np.arange(len(rows)))
    return pd.concat([frame, rows.slices.reset_index(drop=True)], axis=1)


def _fill(frame: pd.DataFrame, found: Sequence[pd.DataFrame]) -> None:
    """Give the rows of a family's task that lacks a figure which another one has the worst: no gate looks at it."""
    worst = {name: 0.0 for name in map(str, frame.columns) if is_figure(name)}
    worst |= {name: score for name, score in WORST_SCORES.items() if name in worst}
    for own in found:
        for name in worst.keys() - set(own.columns):
            frame.loc[own.index, name] = worst[name]


def _answered(job: Job, asked: AskedRows) -> dict[str, object]:
    """Return prediction and score of rows that ask one task, and what else its workload gives.

    That is target, areas or boxes, confidence, p(k) of classes k whose AUROC a gate holds, and scores of p. What the
    workload does not give is left out, and a gate that needs it fails with that reason.
    Raises ConfigurationError when the workload's labels or probabilities do not fit its rows.
    """
    answers = answers_of(asked.workload, asked.outputs, asked.targets)
    given: dict[str, object] = {"prediction": answers.predictions, "score": answers.scores}
    parts, start = list[dict[str, np.ndarray]](), 0
    for part in answered_at_once(asked.outputs):
        rows = slice(start, start + len(part))
        own = AnsweredRows(answers.predictions[rows], answers.scores[rows], answers.finite[rows])
        parts.append(_of_labels(job, asked, part, asked.targets[rows], own))
        start += len(part)
    given |= {name: joined([part[name] for part in parts]) for name in parts[0] if all(name in part for part in parts)}
    return given | _areas(asked, answers)


def _of_labels(
    job: Job, asked: AskedRows, outputs: np.ndarray, targets: np.ndarray, answers: AnsweredRows
) -> dict[str, np.ndarray]:
    """Return the columns of some rows that follow from their right answers and their probabilities."""
    labels, table = labelled(asked.workload, outputs, targets)
    more = {} if labels is None else {"target": np.asarray(labels)}
    if table is None:
        return more
    gates = job.recipe.gates_of(asked.task)
    scores = {} if labels is None else _row_scores(job, gates, table, labels)
    return more | _probabilities(gates, table, answers) | scores


def _areas(asked: AskedRows, answers: AnsweredRows) -> dict[str, object]:
    """Return the areas or boxes of each row by class; a row without numbers agrees with its target nowhere.

    They follow from the task: a workload that writes its own predictions or score has none.
    """
    workload = asked.workload
    if {"predictions", "score"} & workload.written:
        return {}
    columns = workload.meaning.areas(asked.outputs, asked.targets, workload.labels)
    return {
        name: column if answers.finite.all() or name.startswith(_OF_TARGETS) else np.where(answers.finite, column, 0)
        for name, column in columns.items()
    }


def _probabilities(gates: Sequence[Gate], table: pd.DataFrame, answers: AnsweredRows) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    place = pd.Index(table.columns).get_indexer(pd.Index(answers.predictions))
    if (place >= 0)[answers.finite].all():  # a broken row's confidence is missing, whatever its place
        found["confidence"] = table.to_numpy(dtype=float)[np.arange(len(table)), place]
    for gate in gates:
        of = getattr(gate, "of", None)
        if getattr(gate, "metric", None) == "auroc" and of in table.columns:
            found[probability_column(of)] = table[of].to_numpy(dtype=float)
    return found


def _row_scores(job: Job, gates: Sequence[Gate], table: pd.DataFrame, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores of a row's probabilities that calibration gates hold.

    Raises ConfigurationError for rows that are no distribution over the classes that right answers name.
    """
    asked = {gate.metric for gate in gates if isinstance(gate, Calibration)}
    if not asked:
        return {}
    shares, right = table.to_numpy(dtype=float), pd.Index(table.columns).get_indexer(pd.Index(labels))
    odd = (shares < -_ROUNDING).any(axis=1) | (abs(shares.sum(axis=1) - 1) > _ROUNDING)  # NaN is damage of the model's
    said = ""
    if odd.any():
        said = (
            f"probabilities of at least 0 that sum to 1 in every row, got {shares[odd][0]} in one of {odd.sum()} rows"
        )
    elif (right < 0).all():
        said = f"columns of classes that right answers name, got {list(table.columns[:5])} and {list(labels[:5])}"
    if said:
        raise ConfigurationError(
            f"workload `{job.recipe.workload}`: expected {said}; correct Workload.probabilities, for which a "
            "calibration gate asks"
        )
    return {name: score for name, score in row_scores(shares, right).items() if name in asked}


def machine(device: DeviceProfile) -> str:
    """Return a digest of the processor that measures for a device: another processor needs another measurement.

    Raises MeasurementInterrupted for a device that is measured on and is not there.
    """
    return machine_of(device.measure)


def batch_sizes(job: Job) -> list[int]:
    """Return the batch sizes above 1 for which a gate of the recipe limits the latency."""
    asked = {gate.batch_size for gate in job.recipe.gates if isinstance(gate, Limit) and gate.batch_size is not None}
    return sorted(asked - {1})


def _batch(job: Job, device: DeviceProfile, file: Path, split: SplitName, size: int) -> dict[str, float]:
    rows = tuple(array[:size] for array in job.splits[split].inputs)
    seen = measure(request(device, file, rows, latency_batch_size=size), device.measure).figures
    return {"batch_size": size, "latency_p50_ms": seen.latency_p50_ms, "latency_p99_ms": seen.latency_p99_ms}


def request(
    device: DeviceProfile, file: Path, rows: Arrays, optimization: Optimization = "all", **changes: int
) -> MeasureRequest:
    """Return the request to a measuring process that runs as the device does, with `changes` of its fields.

    Its heads are those beside it. Raises MeasurementFailed for a file whose inputs are not those of the rows, and for
    heads that are damaged.
    """
    asked = MeasureRequest(
        model=file,
        inputs=dict(zip(_input_names(file, len(rows)), rows, strict=True)),
        settings=replace(session_settings(device), optimization=optimization),
        batch_size=device.max_batch,
        latency_warmup=device.measure.warmup,
        latency_repeats=device.measure.repeats,
        memory_limit_mb=device.measure.memory_limit_mb,
        heads=_heads(file),
    )
    return replace(asked, **changes)  # type: ignore[arg-type]  # all of them are whole numbers


def _heads(file: Path) -> tuple[HeadGraph, ...]:
    try:
        return heads_of(file)
    except SessionError as error:
        raise MeasurementFailed(str(error)) from error


def _input_names(file: Path, count: int) -> list[str]:
    """Return the file's own input names: a deployed model's may differ from those of the version that replaces it."""
    try:
        graph = onnx.load(file, load_external_data=False).graph
    except Exception as error:  # protobuf's errors have no base of their own
        raise MeasurementFailed(f"{file.name}: expected an ONNX graph, got {error}; make the file again") from error
    weights = {weight.name for weight in graph.initializer}
    names = [str(value.name) for value in graph.input if value.name not in weights]
    if len(names) != count:
        raise MeasurementFailed(
            f"{file.name}: expected a model of {count} inputs as the workload has, got the inputs {', '.join(names)}; "
            "the model of another signature cannot be measured on these rows"
        )
    return names
