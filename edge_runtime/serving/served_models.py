"""The seam of serving: what a server over a network needs of the models of a process, and nothing of how they run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge_runtime.settings import TensorSpec
from edge_runtime.statistics import NO_TIMES, Histogram, ShadowStatistics, TensorDrift


@dataclass(frozen=True)
class ModelDescription:
    """The facts that a client may know of a model that is served.

    `version` and `release` are those of the manifest, the release empty where it has none; `digest` is the bundle's.
    Axis 0 of a tensor whose first size is None are rows. `batched` tells whether requests run together: the bundle's
    measured curve gains enough by it.
    """

    name: str
    version: str
    release: str
    digest: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batched: bool


@dataclass(frozen=True)
class ModelStatistics:
    """Counts of one model since the process began; `version` is the one that serves now.

    `requests` counts by OUTCOMES, every key always there. `rows` and `batches` are those that the session answered,
    `batch_rows` the rows of each batch. `queue_s` is the time of a request until its batch began, `compute_s` the time
    of a batch in the session, both in seconds. `queued` requests wait now. `swaps` counts the versions that took
    another's place, `failed_swaps` those that did not load, for whatever reason. `latency_s` is the whole time of
    answered requests, in seconds. `drift` tells of the version that serves now, and `shadow` of a bundle beside it.
    """

    model: str
    version: str
    requests: Mapping[str, int]
    rows: int
    batches: int
    batch_rows: Histogram
    queue_s: Histogram
    compute_s: Histogram
    queued: int
    swaps: int
    failed_swaps: int = 0
    latency_s: Histogram = NO_TIMES
    drift: tuple[TensorDrift, ...] = ()
    shadow: ShadowStatistics | None = None


class ServedModels(Protocol):
    """Models that answer requests, by name. All methods belong to the event loop's thread."""

    def names(self) -> list[str]:
        """Return the names of the models that this process is to serve, sorted, whether they are ready or not."""
        ...

    def description(self, model: str) -> ModelDescription:
        """Describe the version that serves now. Raises ModelNotServed for an unknown name and before it is ready."""
        ...

    def is_ready(self, model: str) -> bool:
        """Tell whether a request would be answered now; False for an unknown name too."""
        ...

    async def answer(
        self,
        model: str,
        arrays: Mapping[str, np.ndarray],
        *,
        deadline_s: float | None = None,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Answer a request: its outputs by name, in the graph's order, or in that of `outputs`.

        `deadline_s` are seconds from now; None is the model's own deadline. Raises ModelNotServed, BadRequest,
        Overloaded, DeadlineExceeded or AnswerFailed. Whoever cancels the call gives the request up.
        """
        ...

    def statistics(self) -> Sequence[ModelStatistics]:
        """Return the statistics of every model that is or was ready, by name."""
        ...
