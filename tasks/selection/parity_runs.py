"""Parity runs: the candidate run in two ways on the same rows, which a gate may demand to answer alike."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from deployments.answers import finite_rows, predictions_of
from deployments.workload import SplitName
from edge_runtime.backbone import answers_of_rows, load_model
from edge_runtime.errors import EdgewrightError, MeasurementFailed, MeasurementInterrupted
from edge_runtime.settings import Optimization
from model_compression.training import predict
from quality_gates.evidence import ParityMeasurement
from quality_gates.gates import Parity
from quality_gates.policy import ParityCheck
from tasks.compression import LOADING, FloatSource, ModelFile, export_snapshot
from tasks.device_link import measure
from tasks.emulation import Emulator, answering_of, emulators_for
from tasks.errors import SystemFailure
from tasks.measurement import emulated_outputs, machine, request, session_settings
from tasks.store import digest_of
from tasks.upstream import DeviceContext, OnnxParent

logger = logging.getLogger("edgewright")
ROWS = 256
SAME_VALUE = 1e-3  # of the largest: two values that differ less are one answer
SEVERAL = 8  # at a time, for a device that takes one row at a time
CODE = (
    "edge_runtime.measurement",
    "tasks.device_link",
    "tasks.emulation",
    request,
    emulated_outputs,
    export_snapshot,
    predict,
    *LOADING,
    __name__,
)
Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Candidate:
    """The file of a float model on one device, and the split whose first rows it answers."""

    context: DeviceContext
    file: ModelFile
    source: FloatSource
    split: SplitName

    @property
    def rows(self) -> tuple[np.ndarray, ...]:
        return tuple(array[:ROWS] for array in self.context.job.splits[self.split].inputs)

    def fresh(self, path: Path, batch_size: int | None = None, optimization: Optimization = "all") -> np.ndarray:
        """Return the outputs of a file that a fresh process loads."""
        device = self.context.device
        asked = request(
            device, path, self.rows, batch_size=batch_size or device.max_batch, optimization=optimization,
            latency_repeats=1,
        )  # fmt: skip
        return answers_of_rows(measure(asked, device.measure).outputs, asked.heads)

    def here(self, path: Path, optimization: Optimization) -> np.ndarray:
        """Return the outputs of a file that this process loads."""
        device = self.context.device
        asked = request(device, path, self.rows)
        model = load_model(path, replace(session_settings(device), optimization=optimization), asked.heads)
        parts = (
            {name: array[start : start + device.max_batch] for name, array in asked.inputs.items()}
            for start in range(0, asked.rows, device.max_batch)
        )
        return np.concatenate([answers_of_rows(model.predict(part), asked.heads) for part in parts])


def parity(
    context: DeviceContext, file: ModelFile, source: FloatSource, split: SplitName
) -> tuple[ParityMeasurement, ...]:
    """Measure parity for the recipe's parity gates, on up to 256 rows; a run that fails is a measurement of its own.

    All checks but `emulated_native` run where the device is measured. `torch_onnx` compares torch with the ONNX file
    of the float model, because torch cannot run the quantized file. An ONNX upstream has no torch model: its file
    without ONNX Runtime's optimizations is compared with the same file as the device runs it.
    """
    checks = dict.fromkeys(gate.check for gate in context.job.recipe.gates if isinstance(gate, Parity))
    return tuple(_measured(check, _Candidate(context, file, source, split)) for check in checks)


def _measured(check: ParityCheck, candidate: _Candidate) -> ParityMeasurement:
    context = candidate.context

    def produce(_: Path) -> dict[str, object]:
        first, second = _RUNS[check](candidate)
        return asdict(_compare(candidate, check, np.asarray(first), np.asarray(second)))

    try:
        inputs = {
            "file": candidate.file.digest,
            "trained": candidate.source.digest,
            "check": check,
            "threads": context.device.threads,
            "split": candidate.split,
            "device": digest_of(context.device.model_dump(mode="json")),
            "machine": machine(context.device),
            "emulator": _emulator(context) if check == "emulated_native" else None,
            **context.job.digests(candidate.split),
        }
        return ParityMeasurement(**context.store.run("parity", inputs, CODE, produce).value)
    except EdgewrightError as error:
        logger.warning("%s: parity %s: %s", context.device.name, check, error)
        interrupted = isinstance(error, MeasurementInterrupted | SystemFailure)
        return ParityMeasurement(check, 0, 0, 0.0, str(error), interrupted)


def _compare(candidate: _Candidate, check: ParityCheck, first: np.ndarray, second: np.ndarray) -> ParityMeasurement:
    if first.shape != second.shape:
        raise MeasurementFailed(f"expected outputs of one shape both ways, got {first.shape} and {second.shape}")
    broken = ~(finite_rows(first) & finite_rows(second))
    if broken.any():
        raise MeasurementFailed(
            f"expected numbers both ways, got NaN or infinity in {int(broken.sum())} of {len(first)} rows"
        )
    workload, largest = candidate.context.job.workload, 0.0
    differing = np.zeros(len(first), dtype=bool)
    for (task, ours), (_, theirs) in zip(workload.of_tasks(first), workload.of_tasks(second), strict=True):
        pair = (ours, theirs)
        differing |= _differing(*(pair if task.answers_are_values else (predictions_of(task, each) for each in pair)))
        largest = max(largest, float(np.abs(ours - theirs).max() / max(1e-12, float(np.abs(ours).max()))))
    return ParityMeasurement(check, len(first), int(differing.sum()), largest)


def _differing(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the rows that are answered differently; values that are measured, by more than float kernels differ."""
    first, second = np.asarray(first), np.asarray(second)
    if first.dtype.kind == "f":
        differing = abs(first - second) > SAME_VALUE * max(1e-12, float(abs(first).max()))
    else:
        differing = first != second
    return np.asarray(differing.reshape(len(first), -1).any(axis=1))


def _batched_single(candidate: _Candidate) -> Pair:
    several = max(candidate.context.device.max_batch, SEVERAL)
    path = candidate.file.path
    return candidate.fresh(path, batch_size=1), candidate.fresh(path, batch_size=several)


def _optimized_plain(candidate: _Candidate) -> Pair:
    path = candidate.file.path
    return candidate.fresh(path), candidate.fresh(path, optimization="off")


def _reloaded_original(candidate: _Candidate) -> Pair:
    path = candidate.file.path
    fresh = candidate.fresh(path)
    return candidate.here(path, "all"), fresh


def _torch_onnx(candidate: _Candidate) -> Pair:
    parent = candidate.context.parent
    exported = export_snapshot(candidate.context, candidate.source).path
    fresh = candidate.fresh(exported)
    if isinstance(parent, OnnxParent):
        return candidate.here(exported, "off"), fresh
    return predict(candidate.source.load(parent), candidate.rows), fresh


def _emulated_native(candidate: _Candidate) -> Pair:
    context, path = candidate.context, candidate.file.path
    where, native = answering_of(context.device), candidate.fresh(path)
    if where.emulated is None:
        return candidate.fresh(path), native  # this machine is of the device's class
    return emulated_outputs(context, where.emulated, path, candidate.split)[:ROWS], native


def _emulator(context: DeviceContext) -> dict[str, str | None] | None:
    found = emulators_for([context.device], context.job.workspace.home).get(context.device.name)
    return found.identity if isinstance(found, Emulator) else None


_RUNS: dict[ParityCheck, Callable[[_Candidate], Pair]] = {
    "torch_onnx": _torch_onnx,
    "batched_single": _batched_single,
    "optimized_plain": _optimized_plain,
    "reloaded_original": _reloaded_original,
    "emulated_native": _emulated_native,
}
