"""Quantization-aware training after pruning to an eighth, against its own float snapshot."""

import numpy as np

from deployments.rungs import QuantizationAware
from model_compression.training import predict
from tasks.compression import make_file
from tasks.measurement import measure_on
from tasks.reporting import accuracy
from tests.benchmarks.frontier.ours import Ours
from tests.benchmarks.record import Figure
from tests.benchmarks.trajectory.cache import console

SHARE = 1 / 8


def qat_after_an_eighth(ours: Ours) -> list[Figure]:
    """Points of test accuracy that INT8 by QAT lies under the FP32 snapshot nearest to an eighth of the parameters."""
    device = ours.context.on(ours.job.recipe.devices[0])
    job, whole = ours.job, ours.baseline.snapshot.parameters
    snapshot = min(ours.trajectory.snapshots, key=lambda each: abs(np.log(each.parameters / whole / SHARE)))
    rung = next(rung for rung in job.recipe.ladder if isinstance(rung, QuantizationAware))
    file = make_file(device, snapshot, rung)
    test = job.splits["test"]
    outputs = predict(snapshot.load(ours.parent), test.inputs)
    before = float(job.workload.score(outputs, test.targets).mean())
    after = accuracy(measure_on(device, file.path, "test")) or 0.0
    console.print(f"{snapshot.title}, 1/{whole / snapshot.parameters:.1f}: FP32 {before:.4f}, QAT {after:.4f}")
    title = f"INT8 by QAT under its own FP32 snapshot at 1/{whole / snapshot.parameters:.1f} of the parameters"
    return [Figure(title, 100 * (before - after), 0.3, "points", "at_most")]
