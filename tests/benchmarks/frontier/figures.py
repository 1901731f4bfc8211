"""A file as a device runs it: accuracy on test, bytes, and its latency in turns with all other files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from deployments.device import DeviceProfile
from deployments.workload import Split, Workload
from edge_runtime.errors import MeasurementFailed
from edge_runtime.measurement import TurnLatency, measure, measure_in_turns, too_busy
from tasks.measurement import request
from tests.benchmarks.trajectory.cache import console


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
    asked = {name: request(device, files[name], test.inputs) for name in answers}
    timed = measure_in_turns(asked, device.measure.timeout_s)
    latencies = {name: result for name, result in timed.items() if isinstance(result, TurnLatency)}
    failures = [f"{name}: {result}" for name, result in timed.items() if name not in latencies]
    for reason in (*failures, too_busy(latencies)):
        if reason is not None:
            console.print(f"the times do not compare: {reason}", markup=False)
    return {name: replace(answers[name], latency_p50_ms=latency.latency_p50_ms) for name, latency in latencies.items()}


def _measured(file: Path, device: DeviceProfile, workload: Workload, rows: Split) -> Seen:
    found = measure(request(device, file, rows.inputs), device.measure.timeout_s)
    scores = workload.score(found.outputs[0], rows.targets)
    labels = rows.slices.iloc[:, 0].astype(str)
    by_label = {label: float(scores[(labels == label).to_numpy()].mean()) for label in sorted(set(labels))}
    figures = found.figures
    return Seen(float(scores.mean()), by_label, figures.size_bytes, figures.latency_p50_ms, found.model_rss_mb)
