"""Counts of a shadow beside one version, filled on the event loop's thread."""

from edge_runtime.serving.shadows.row_comparison import RowComparison
from edge_runtime.statistics import SECONDS, HistogramCounter, ShadowStatistics


class ShadowCounts:
    """The counts that ShadowStatistics tells of a shadow, while they are counted; digests name the two bundles."""

    def __init__(self, serving: str, digest: str, release: str) -> None:
        self.pair = (serving, digest)
        self._release = release
        self._requests = self._rows = self._agreeing_rows = self._failed = 0
        self._largest_gap = 0.0
        self._compute_s = HistogramCounter(SECONDS)
        self.skipped = 0

    def compared(self, found: RowComparison, seconds: float) -> None:
        """Count a request that was answered and compared."""
        self._requests += 1
        self._rows += found.rows
        self._agreeing_rows += found.agreeing_rows
        self._largest_gap = max(self._largest_gap, found.largest_gap)
        self._compute_s.add(seconds)

    def failed(self) -> None:
        """Count a request that the shadow failed for."""
        self._failed += 1

    def read(self) -> ShadowStatistics:
        """Return the statistics."""
        return ShadowStatistics(
            self._release, self.pair[1], self._requests, self._rows, self._agreeing_rows, self._largest_gap,
            self._failed, self.skipped, self._compute_s.read(),
        )  # fmt: skip
