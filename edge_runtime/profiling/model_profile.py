"""The profile of one bundle on this device: measured in processes of its own, one after the other."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import edge_runtime
from edge_runtime.bundle import Bundle, TensorSpec
from edge_runtime.cpu import this_cpu, this_instruction_set
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.golden import difference, golden_vectors
from edge_runtime.install import HowItRuns
from edge_runtime.measurement import Measurement, MeasureRequest, measure
from edge_runtime.model_files import files_of, model_bytes
from edge_runtime.onnxruntime_packages import onnxruntime_version, plugins
from edge_runtime.profiling.operators import OperatorTime, read_operators
from edge_runtime.profiling.shared_memory import SharedMemory, kinds_of, memory_of
from edge_runtime.profiling.watched_processes import WatchedModel

BATCHES = (1, 4, 16, 64)
CALLS = 20
"""Calls of which ONNX Runtime writes down the operators."""
_MB = 1 << 20


@dataclass(frozen=True)
class ThisDevice:
    """The machine that measured, and what it ran with."""

    cpu: str
    instruction_set: str | None
    cores: int
    onnxruntime: str
    runtime: str
    plugins: Mapping[str, str]

    @classmethod
    def now(cls) -> "ThisDevice":
        """Return this machine."""
        return cls(
            this_cpu(), this_instruction_set(), os.cpu_count() or 1, onnxruntime_version(), edge_runtime.__version__,
            plugins(),
        )  # fmt: skip


@dataclass(frozen=True)
class BatchTime:
    """Times of a call with so many rows, in milliseconds."""

    batch_size: int
    latency_p50_ms: float
    latency_p99_ms: float


@dataclass(frozen=True)
class ModelProfile:
    """Everything that was measured of one bundle. `answers` says how the golden vectors were missed; None: not at all.

    `first_answer_ms` is the time from the start of loading to the first answer, with all imports done before.
    """

    model: str
    version: str
    release: str
    device: str
    digest: str
    machine: ThisDevice
    runs: HowItRuns
    weights_in_files: int
    measured: Measurement
    answers: str | None
    batches: tuple[BatchTime, ...]
    first_answer_ms: float
    memory: SharedMemory
    operators: tuple[OperatorTime, ...]

    @property
    def batching_gain(self) -> float:
        """Rows a second at the best batch size, as a multiple of those one by one."""
        return max(each.batch_size * self.batches[0].latency_p50_ms / each.latency_p50_ms for each in self.batches)

    def to_plain(self) -> dict[str, Any]:
        """Return the profile as JSON values. `measure` is what the pipeline's stage of that name keeps."""
        figures, batches = dict(self.measured.figures.known), [asdict(each) for each in self.batches]
        return {
            "model": self.model, "version": self.version, "release": self.release, "device": self.device,
            "digest": self.digest, "machine": asdict(self.machine),
            "runs": {
                "graph": self.runs.kind, "path": str(self.runs.graph), "session": self.runs.session.to_plain(),
                "tried": [each.to_plain() for each in self.runs.tried], "fallback": self.runs.said,
            },
            "answers": {"right": self.answers is None, "missed": self.answers},
            "measure": {"figures": figures, "batches": batches[1:], "sha256": self.measured.sha256},
            "measured": {"figures": figures, "batch_ms": {str(e.batch_size): e.latency_p50_ms for e in self.batches}},
            "batching_gain": self.batching_gain,
            "first_answer_ms": self.first_answer_ms,
            "memory": asdict(self.memory) | {"over_weights": self.memory.over_weights,
                                             "bare_rss_mb": self.measured.bare_rss_mb},
            "operators": [asdict(each) for each in self.operators],
        }  # fmt: skip


def profile_model(
    bundle: Bundle, runs: HowItRuns, *, processes: int = 2, sizes: Sequence[int] = BATCHES, timeout_s: float = 120.0
) -> ModelProfile:
    """Measure a verified bundle as it runs here; `processes` at once have the model while its memory is looked at.

    `sizes` are those of the batch curve, from 1 on. Raises MeasurementFailed for a model that does not run here;
    MeasurementInterrupted where something else is in the way.
    """
    work = _Work(bundle, runs, timeout_s)
    measured, missed = work.measured()
    batches = work.batches([1, *(size for size in sorted(set(sizes)) if size > 1)])
    with tempfile.TemporaryDirectory(prefix="edgewright-profile-") as name:
        try:
            first_ms, memory = work.memory(Path(name), processes)
            operators = work.operators(Path(name))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MeasurementInterrupted(f"The profile of {bundle.manifest.model} was interrupted: {error}.") from error
    manifest = bundle.manifest
    weights = len(files_of(runs.graph, runs.heads) - {runs.graph, *(head.path for head in runs.heads)})
    return ModelProfile(
        manifest.model, manifest.version, manifest.release, manifest.device, bundle.digest, ThisDevice.now(), runs,
        weights, measured, missed, batches, first_ms, memory, operators,
    )  # fmt: skip


class _Work:
    """The measurements of one bundle, on its golden vectors or, where it has none, on rows of zeros."""

    def __init__(self, bundle: Bundle, runs: HowItRuns, timeout_s: float) -> None:
        self._runs, self._timeout_s = runs, timeout_s
        self._golden = None if bundle.manifest.golden is None else golden_vectors(bundle)
        self._rows = dict(self._golden.inputs) if self._golden else _zeros(bundle.manifest.inputs)
        self._batch = self._golden.described.batch if self._golden else 1

    def measured(self) -> tuple[Measurement, str | None]:
        """Return the figures of one row at a time, and how the golden vectors were missed."""
        request = MeasureRequest(
            self._runs.graph, self._rows, self._runs.session, self._batch, heads=self._runs.heads
        )  # fmt: skip
        seen = measure(request, self._timeout_s)
        return seen, difference(self._golden, seen.outputs) if self._golden else None

    def batches(self, sizes: Sequence[int]) -> tuple[BatchTime, ...]:
        """Return the times by rows; those at which the model does not run, as its rows are fixed, are left out."""
        found = []
        for size in sizes:
            request = MeasureRequest(
                self._runs.graph, self._rows, self._runs.session, self._batch, latency_warmup=2,
                latency_repeats=50, latency_batch_size=size, latency_seconds=2.0,
                heads=self._runs.heads,
            )  # fmt: skip
            try:
                seen = measure(request, self._timeout_s).figures
            except MeasurementInterrupted:
                raise
            except MeasurementFailed:
                if size == 1:
                    raise
                break
            found.append(BatchTime(size, seen.latency_p50_ms, seen.latency_p99_ms))
        return tuple(found)

    def memory(self, folder: Path, count: int) -> tuple[float, SharedMemory]:
        """Return the time to the first answer, and the memory of so many processes that have the model at once."""
        watched = self._watched()
        files = frozenset(path.resolve() for path in files_of(self._runs.graph, self._runs.heads))
        with watched.processes(folder / "empty", count, empty=True) as started:
            empty = [memory_of(each.pid) for each in started]
        with watched.processes(folder / "loaded", count) as started:
            loaded = [memory_of(each.pid) for each in started]
            kinds = kinds_of(started[-1].pid, files)
        first_ms = min(float(each.said["first_answer_ms"]) for each in started)
        return first_ms, SharedMemory(
            count, sum(each.pss_mb for each in loaded), sum(each.pss_mb for each in empty),
            max(each.private_mb for each in loaded), max(each.private_mb for each in empty),
            model_bytes(self._runs.graph, self._runs.heads) / _MB, kinds,
        )  # fmt: skip

    def operators(self, folder: Path) -> tuple[OperatorTime, ...]:
        """Return the operators of one call, and their times."""
        with self._watched().processes(folder / "operators", 1, calls=CALLS) as (one,):
            return read_operators([Path(each) for each in one.said["events"]], CALLS)

    def _watched(self) -> WatchedModel:
        rows = {name: array[:1] for name, array in self._rows.items()}
        return WatchedModel(self._runs.graph, self._runs.session, rows, self._timeout_s, self._runs.heads)


def _zeros(specs: Sequence[TensorSpec]) -> dict[str, np.ndarray]:
    return {spec.name: np.zeros([1 if size is None else size for size in spec.shape], spec.dtype) for spec in specs}
