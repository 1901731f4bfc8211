"""A file as a device runs it: accuracy on test, bytes, and the best of several medians taken in turn."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.device import DeviceProfile
from deployments.workload import Split, Workload
from edge_runtime.errors import MeasurementFailed
from edge_runtime.measurement import measure
from tasks.measurement import request
from tests.benchmarks.trajectory.cache import console

TURNS = 3  # the files are timed in turn, so that a busy moment does not meet one of them alone


@dataclass(frozen=True)
class Seen:
    """Test accuracy, overall and by the first slice column; bytes, ms for one row, MiB above a bare runtime."""

    accuracy: float
    by_label: Mapping[str, float]
    size_bytes: float
    latency_p50_ms: float
    memory_mb: float


def seen(files: Mapping[str, Path], device: DeviceProfile, workload: Workload, test: Split) -> dict[str, Seen]:
    """Measure every file on a device profile over the test rows; one that does not run there is said and left out."""
    answers = {}
    for name, file in files.items():
        try:
            answers[name] = _measured(file, device, workload, test)
        except MeasurementFailed as error:
            console.print(f"{name}: {error}", markup=False)
    few = Split(tuple(array[:64] for array in test.inputs), test.targets[:64], test.slices.iloc[:64])
    for _ in range(TURNS - 1):
        for name, first in list(answers.items()):
            answers[name] = _faster(first, _measured(files[name], device, workload, few))
    return answers


def _measured(file: Path, device: DeviceProfile, workload: Workload, rows: Split) -> Seen:
    found = measure(request(device, file, rows.inputs), device.measure.timeout_s)
    scores = workload.score(found.outputs[0], rows.targets)
    labels = rows.slices.iloc[:, 0].astype(str)
    by_label = {label: float(scores[(labels == label).to_numpy()].mean()) for label in sorted(set(labels))}
    figures = found.figures
    return Seen(float(scores.mean()), by_label, figures.size_bytes, figures.latency_p50_ms, found.model_rss_mb)


def _faster(first: Seen, again: Seen) -> Seen:
    return Seen(
        first.accuracy,
        first.by_label,
        first.size_bytes,
        min(first.latency_p50_ms, again.latency_p50_ms),
        min(first.memory_mb, again.memory_mb),
    )
