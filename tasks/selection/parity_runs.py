"""The candidate run in two ways on the same rows: what a gate may demand to be the same."""

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from deployments.workload import SplitName
from edge_runtime.errors import EdgewrightError, MeasurementFailed
from edge_runtime.measurement import measure
from edge_runtime.session import EdgeModel
from edge_runtime.settings import Optimization
from model_compression.training import predict
from quality_gates.evidence import ParityMeasurement
from quality_gates.gates import Parity
from quality_gates.policy import ParityCheck
from tasks.compression import ModelFile, Trained, export_snapshot
from tasks.emulation import Emulator, answering_of, emulators_for
from tasks.measurement import emulated_outputs, machine, request, session_settings
from tasks.selection.reference_models import References
from tasks.store import digest_of
from tasks.upstream import OnnxParent

logger = logging.getLogger("edgewright")
ROWS = 256
SEVERAL = 8  # at a time, for a device that takes one row at a time
CODE = (
    "edge_runtime",
    "tasks.selection.parity_runs",
    "tasks.measurement.device_measurement",
    "tasks.compression.float_export",
    "tasks.emulation",
)


def parity(
    references: References, file: ModelFile, trained: Trained, split: SplitName
) -> tuple[ParityMeasurement, ...]:
    """Measure what the recipe's parity gates ask for, on up to 256 rows; a run that fails is a measurement of its own.

    All but emulated against native run on this machine's CPU.

    torch against ONNX is held on the float model that the file was quantized from: torch does not run the file itself.
    Where upstream is an ONNX file there is no torch: that file as it is written, without ONNX Runtime's optimizations,
    is held against itself as the device runs it.
    """
    checks = dict.fromkeys(gate.check for gate in references.job.recipe.gates if isinstance(gate, Parity))
    return tuple(_measured(references, check, file, trained, split) for check in checks)


def _measured(
    references: References, check: ParityCheck, file: ModelFile, trained: Trained, split: SplitName
) -> ParityMeasurement:
    job = references.job

    def produce(folder: Path) -> dict[str, object]:
        first, second = _RUNS[check](references, file, trained, split)
        return asdict(_compare(references, check, np.asarray(first), np.asarray(second)))

    inputs = {
        "file": file.digest,
        "trained": trained.digest,
        "check": check,
        "threads": references.device.threads,
        "split": split,
        "device": digest_of(references.device.model_dump(mode="json")),
        "machine": machine(),
        "emulator": _emulator(references) if check == "emulated_native" else None,
        **job.digests(split),
    }
    try:
        return ParityMeasurement(**job.workspace.store.run("parity", inputs, CODE, produce).value)
    except EdgewrightError as error:
        logger.warning("%s: parity %s: %s", references.device.name, check, error)
        return ParityMeasurement(check, 0, 0, 0.0, str(error))


def _compare(references: References, check: ParityCheck, first: np.ndarray, second: np.ndarray) -> ParityMeasurement:
    if first.shape != second.shape:
        raise MeasurementFailed(f"expected outputs of one shape both ways, got {first.shape} and {second.shape}")
    answers = [np.asarray(references.job.workload.predictions(outputs)) for outputs in (first, second)]
    differing = (answers[0] != answers[1]).reshape(len(first), -1).any(axis=1)
    largest = float(np.abs(first - second).max() / max(1e-12, float(np.abs(first).max())))
    return ParityMeasurement(check, len(first), int(differing.sum()), largest)


def _rows(references: References, split: SplitName) -> tuple[np.ndarray, ...]:
    return tuple(array[:ROWS] for array in references.job.splits[split].inputs)


def _fresh(
    references: References, path: Path, split: SplitName, batch_size: int, optimization: Optimization
) -> np.ndarray:
    """Outputs of a file that a fresh process loads."""
    device = references.device
    asked = request(
        device, path, _rows(references, split), batch_size=batch_size, optimization=optimization, latency_repeats=1
    )
    return measure(asked, device.measure.timeout_s).outputs[0]


def _batched_single(references: References, file: ModelFile, _: Trained, split: SplitName) -> tuple[np.ndarray, ...]:
    several = max(references.device.max_batch, SEVERAL)
    return tuple(_fresh(references, file.path, split, size, "all") for size in (1, several))


def _optimized_plain(references: References, file: ModelFile, _: Trained, split: SplitName) -> tuple[np.ndarray, ...]:
    levels: tuple[Optimization, ...] = ("all", "off")
    return tuple(_fresh(references, file.path, split, references.device.max_batch, level) for level in levels)


def _here(references: References, path: Path, split: SplitName, optimization: Optimization) -> np.ndarray:
    """Outputs of a file that this process loads."""
    batch = references.device.max_batch
    rows = request(references.device, path, _rows(references, split)).inputs
    session = EdgeModel.load(path, replace(session_settings(references.device), optimization=optimization))
    count = len(next(iter(rows.values())))
    parts = [
        session.predict({name: array[start : start + batch] for name, array in rows.items()})[0]
        for start in range(0, count, batch)
    ]
    return np.concatenate(parts)


def _reloaded_original(references: References, file: ModelFile, _: Trained, split: SplitName) -> tuple[np.ndarray, ...]:
    fresh = _fresh(references, file.path, split, references.device.max_batch, "all")
    return _here(references, file.path, split, "all"), fresh


def _torch_onnx(references: References, _: ModelFile, trained: Trained, split: SplitName) -> tuple[np.ndarray, ...]:
    parent = references.parent
    exported = export_snapshot(references.job, parent, trained)
    fresh = _fresh(references, exported.path, split, references.device.max_batch, "all")
    if isinstance(parent, OnnxParent):
        return _here(references, exported.path, split, "off"), fresh
    return predict(trained.load(parent), _rows(references, split)), fresh


def _emulated_native(references: References, file: ModelFile, _: Trained, split: SplitName) -> tuple[np.ndarray, ...]:
    device, where = references.device, answering_of(references.device)
    native = _fresh(references, file.path, split, device.max_batch, "all")
    if where.emulated is not None:
        return emulated_outputs(references.job, device, where.emulated, file.path, split)[:ROWS], native
    return _fresh(
        references, file.path, split, device.max_batch, "all"
    ), native  # this machine is of the device's class


def _emulator(references: References) -> dict[str, str | None] | None:
    found = emulators_for([references.device], references.job.workspace.home).get(references.device.name)
    return found.identity if isinstance(found, Emulator) else None


_RUNS: dict[ParityCheck, Callable[[References, ModelFile, Trained, SplitName], tuple[np.ndarray, ...]]] = {
    "torch_onnx": _torch_onnx,
    "batched_single": _batched_single,
    "optimized_plain": _optimized_plain,
    "reloaded_original": _reloaded_original,
    "emulated_native": _emulated_native,
}
