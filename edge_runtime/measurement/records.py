"""What a measurement asks for, and what it gives. One MB is 2**20 bytes, as the kernel counts resident memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.errors import MeasurementFailed
from edge_runtime.settings import SessionSettings


@dataclass(frozen=True)
class MeasureRequest:
    """A model, the rows that it answers, and how to run and time it.

    `inputs` maps every input's name to an array of all rows (axis 0). `batch_size` rows are predicted at a time.
    Latency is that of `latency_batch_size` rows: after `latency_warmup` runs, `latency_repeats` are timed, or fewer
    when `latency_seconds` are over, though not below timing.MINIMUM_REPEATS where so many are asked for.
    `memory_limit_mb` bounds the peak resident memory of the whole process, the runtime included.
    Raises MeasurementFailed for rows that do not match and for numbers that are not positive.
    """

    model: Path
    inputs: Mapping[str, np.ndarray]
    settings: SessionSettings
    batch_size: int = 1
    latency_warmup: int = 10
    latency_repeats: int = 200
    latency_batch_size: int = 1
    latency_seconds: float = 5.0
    memory_limit_mb: float | None = None

    def __post_init__(self) -> None:
        lengths = {name: len(array) if array.ndim else None for name, array in self.inputs.items()}
        if len(set(lengths.values())) != 1 or not all(lengths.values()):
            raise MeasurementFailed(f"Every input needs the same number of rows, at least one; got {lengths}.")
        for name in ("batch_size", "latency_repeats", "latency_batch_size"):
            if getattr(self, name) < 1:
                raise MeasurementFailed(f"{name} must be at least 1, not {getattr(self, name)!r}.")
        if self.latency_warmup < 0 or self.latency_seconds <= 0:
            raise MeasurementFailed(
                "latency_warmup must be at least 0 and latency_seconds above 0, "
                f"not {self.latency_warmup!r} and {self.latency_seconds!r}."
            )
        if self.memory_limit_mb is not None and self.memory_limit_mb <= 0:
            raise MeasurementFailed(f"memory_limit_mb must be above 0 or None, not {self.memory_limit_mb!r}.")

    @property
    def rows(self) -> int:
        """How many rows the model is to answer."""
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class Measurement:
    """What was seen: bytes of the file, milliseconds, megabytes, and every output's rows in the graph's order.

    `peak_rss_mb` is that of the whole process; `model_rss_mb` is what it grew by over the bare runtime (interpreter,
    numpy and onnxruntime imported). It includes the few MB of onnxruntime's own code that a first model touches.
    """

    size_bytes: int
    load_ms: float
    peak_rss_mb: float
    model_rss_mb: float
    latency_p50_ms: float
    latency_p99_ms: float
    outputs: list[np.ndarray]
