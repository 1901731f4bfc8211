"""Histograms with fixed bounds: what a scraper reads, and the counter behind it."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds for times in seconds."""
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
"""Bounds for numbers of rows."""


@dataclass(frozen=True)
class Histogram:
    """Observations by their size: `counts[i]` lie at or below `bounds[i]` and above the bound before it.

    `counts` has one entry more than `bounds`: the observations above the last bound. `sum` adds up all of them.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float

    @property
    def count(self) -> int:
        """The number of observations."""
        return sum(self.counts)

    @property
    def cumulative(self) -> tuple[int, ...]:
        """The observations at or below each bound, and last all of them, as Prometheus wants its buckets."""
        return tuple(accumulate(self.counts))


NO_TIMES = Histogram(SECONDS, (0,) * (len(SECONDS) + 1), 0.0)
"""Times of nothing."""


class HistogramCounter:
    """A histogram that is being filled, by one thread."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count an observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def read(self) -> Histogram:
        """Return what was counted so far."""
        return Histogram(self._bounds, tuple(self._counts), self._sum)
