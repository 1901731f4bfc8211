"""The smoke test: a bundle loaded and run in a process of its own, within limits, on its golden vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_runtime.bundle import Bundle, TensorSpec
from edge_runtime.errors import (
    BundleRefused,
    DeviceFailed,
    MeasurementFailed,
    MeasurementInterrupted,
    MeasurementTimedOut,
)
from edge_runtime.golden import GoldenVectors, difference, golden_vectors
from edge_runtime.install.choices import HowItRuns
from edge_runtime.measurement import Measurement, MeasureRequest, TurnLatency, measure, measure_in_turns

GROWTH = 2.0
"""Times the peak memory that was measured for a model which it may take here, where nobody says otherwise."""
_LEAST_MB = 64.0
WARMUP, REPEATS = 3, 20
_TURN_CALLS, _TURN_S = 12, 1.0


@dataclass(frozen=True)
class Limits:
    """Limits of a smoke test: seconds in all, MiB of resident memory, and milliseconds of the median call of one row.

    Without `memory_mb`, twice what was measured when the bundle was made, and 64 MiB more. Without `latency_ms`, any.
    """

    time_s: float = 120.0
    memory_mb: float | None = None
    latency_ms: float | None = None

    def memory_of(self, measured: Mapping[str, float]) -> float | None:
        """Return the limit on memory for a bundle with these measured figures, in MiB; None where nothing limits it."""
        if self.memory_mb is not None:
            return self.memory_mb
        peak = measured.get("peak_rss_mb")
        return None if peak is None else GROWTH * peak + _LEAST_MB


def smoke_test(bundle: Bundle, runs: HowItRuns, limits: Limits) -> Measurement:
    """Run a verified bundle on its golden vectors in a limited process; return what was measured there.

    Raises BundleRefused where the model fails: a crash, a time-out, too much memory, heads that do not fit their
    backbone, other outputs than its manifest says, an answer that is no number or is wrong, a call that takes too long.
    Raises DeviceFailed where something else ended the test, which says nothing about the model.
    """
    golden = golden_vectors(bundle)
    request = replace(
        _request(bundle, golden, runs, limits), latency_warmup=WARMUP, latency_repeats=REPEATS,
        latency_seconds=limits.time_s / 4,
    )  # fmt: skip
    what = f"{bundle.manifest.model} version {bundle.manifest.version}"
    try:
        seen = measure(request, limits.time_s)
    except MeasurementTimedOut as error:
        raise BundleRefused(f"{what} did not end its smoke test in {limits.time_s:g} s. {error}") from error
    except MeasurementInterrupted as error:
        raise DeviceFailed(f"The smoke test of {what} was interrupted, run again: {error}") from error
    except MeasurementFailed as error:
        raise BundleRefused(f"{what} failed its smoke test: {error}") from error
    missed = _misfit(bundle.manifest.outputs, seen.outputs) or difference(golden, seen.outputs)
    if missed is not None:
        raise BundleRefused(f"{what} answers wrongly on this device: {missed}.")
    if limits.latency_ms is not None and seen.figures.latency_p50_ms > limits.latency_ms:
        raise BundleRefused(
            f"{what} is too slow on this device: {seen.figures.latency_p50_ms:.3g} ms a row, and at most "
            f"{limits.latency_ms:g} ms are allowed."
        )
    return seen


def _request(bundle: Bundle, golden: GoldenVectors, runs: HowItRuns, limits: Limits) -> MeasureRequest:
    """Return the request to answer golden vectors in this way within the limits; the caller says what is timed."""
    return MeasureRequest(
        runs.graph, golden.inputs, runs.session, batch_size=golden.described.batch,
        memory_limit_mb=limits.memory_of(bundle.manifest.measured.figures), heads=runs.heads,
    )  # fmt: skip


def _misfit(specs: Sequence[TensorSpec], outputs: Sequence[np.ndarray]) -> str | None:
    """Return in a sentence how answers are of other tensors than a manifest says; None where they are of those."""
    if len(specs) != len(outputs):
        return f"it gives {len(outputs)} outputs, and its manifest says {len(specs)}"
    for spec, output in zip(specs, outputs, strict=True):
        fits = output.ndim == len(spec.shape) and all(
            want is None or want == got for want, got in zip(spec.shape[1:], output.shape[1:], strict=True)
        )
        if output.dtype != spec.dtype or not fits:
            return (
                f"the output {spec.name} has {output.dtype} in the shape {output.shape}, and its manifest says "
                f"{spec.dtype} in {spec.shape}"
            )
    return None


def most_rows(bundle: Bundle) -> int:
    """Return the most rows that a bundle was measured with at once; 1 where it answers one at a time."""
    return max(map(int, bundle.manifest.measured.batch_ms), default=1)


def compared_times(
    bundle: Bundle, first: HowItRuns, second: HowItRuns, rows: int, limits: Limits
) -> tuple[float, float]:
    """Return the times of two ways to run so many rows of a bundle, in milliseconds, taken in turns.

    They are the tenth percentile of calls that kept the CPU, so that another program says little in the choice.
    Raises MeasurementFailed where one of the two fails.
    """
    golden = golden_vectors(bundle)
    requests = {
        name: replace(
            _request(bundle, golden, runs, limits), latency_warmup=2, latency_repeats=_TURN_CALLS,
            latency_batch_size=rows, latency_seconds=_TURN_S,
        )
        for name, runs in {"first": first, "second": second}.items()
    }  # fmt: skip
    found = measure_in_turns(requests, limits.time_s)
    times = [each.latency_p10_ms for each in found.values() if isinstance(each, TurnLatency)]
    for each in found.values():
        if isinstance(each, MeasurementFailed):
            raise each
    return times[0], times[1]
