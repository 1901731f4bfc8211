"""The request of a measurement and its result."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_runtime.errors import MeasurementFailed
from edge_runtime.measurement.figures import Figures
from edge_runtime.model_files import HeadGraph
from edge_runtime.settings import SessionSettings


@dataclass(frozen=True)
class MeasureRequest:
    """A model, by the path of its graph and its heads, the rows that it answers, and how to run and time it.

    `inputs` maps every input's name to an array of all rows (axis 0). `batch_size` rows are predicted at a time.
    Latency is that of `latency_batch_size` rows: after `latency_warmup` runs, `latency_repeats` are timed, or fewer
    once `latency_seconds` are over, but at least timing.MINIMUM_REPEATS if as many are asked for.
    `memory_limit_mb` bounds the peak resident memory of the whole process in MiB, the runtime included.
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
    heads: tuple[HeadGraph, ...] = ()

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
        """The number of rows that the model answers."""
        return len(next(iter(self.inputs.values())))

    @property
    def times_calls(self) -> bool:
        """True where the latency is asked for; a request for answers alone times one call."""
        return self.latency_repeats > 1

    def for_timing(self) -> "MeasureRequest":
        """Return the request with only the rows that are timed."""
        return replace(self, inputs={name: array[: self.latency_batch_size] for name, array in self.inputs.items()})


@dataclass(frozen=True)
class Measurement:
    """Result of a measurement: the figures, and every output's rows in the graph's order.

    `sha256` is the model's digest, taken in the measuring process from the files that it then loaded.
    `bare_rss_mb` is the resident memory of the process in MiB before it loaded the model: interpreter, numpy and
    onnxruntime. `private_mb` is the memory in MiB that the model has added to it and that no file backs: every process
    that runs the model has it again, where pages of files are shared.
    """

    sha256: str
    figures: Figures
    bare_rss_mb: float
    outputs: list[np.ndarray]
    private_mb: float = 0.0

    @property
    def model_rss_mb(self) -> float:
        """Memory in MiB above the bare runtime, with the few MiB of onnxruntime's code that a first model touches."""
        return max(self.figures.peak_rss_mb - self.bare_rss_mb, 0.0)
