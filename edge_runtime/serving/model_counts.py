"""Counts of one model, filled on the event loop's thread."""

from edge_runtime.errors import (
    AnswerFailed,
    BadRequest,
    DeadlineExceeded,
    ModelNotServed,
    Overloaded,
    ServingError,
)
from edge_runtime.serving.served_models import ModelStatistics
from edge_runtime.statistics import OUTCOMES, ROWS, SECONDS, HistogramCounter, TensorDrift

_OUTCOME_OF: dict[type[BaseException], str] = {
    BadRequest: "bad_request",
    Overloaded: "shed",
    ModelNotServed: "shed",
    DeadlineExceeded: "deadline",
    AnswerFailed: "failed",
    ServingError: "failed",
}


class ModelCounts:
    """The counts that ModelStatistics tells of a model, while they are counted."""

    def __init__(self) -> None:
        self._requests = dict.fromkeys(OUTCOMES, 0)
        self._rows = 0
        self._batches = 0
        self._batch_rows = HistogramCounter(ROWS)
        self._queue_s = HistogramCounter(SECONDS)
        self._compute_s = HistogramCounter(SECONDS)
        self._latency_s = HistogramCounter(SECONDS)
        self.swaps = 0
        self.failed_swaps = 0

    def ended(self, error: BaseException | None) -> None:
        """Count the end of a request; None is a good one, and whatever is no ServingError gave it up."""
        kinds = (outcome for kind, outcome in _OUTCOME_OF.items() if isinstance(error, kind))
        self._requests["ok" if error is None else next(kinds, "cancelled")] += 1

    def answered(self, seconds: float) -> None:
        """Count the whole time of a request that was answered."""
        self._latency_s.add(seconds)

    def waited(self, seconds: float) -> None:
        """Count the time that a request waited until its batch began."""
        self._queue_s.add(seconds)

    def called(self, rows: int, seconds: float) -> None:
        """Count a call of the session."""
        self._rows += rows
        self._batches += 1
        self._batch_rows.add(rows)
        self._compute_s.add(seconds)

    def read(self, model: str, version: str, queued: int, drift: tuple[TensorDrift, ...] = ()) -> ModelStatistics:
        """Return the statistics."""
        return ModelStatistics(
            model, version, dict(self._requests), self._rows, self._batches, self._batch_rows.read(),
            self._queue_s.read(), self._compute_s.read(), queued, self.swaps, self.failed_swaps,
            self._latency_s.read(), drift,
        )  # fmt: skip
