"""Figures of a candidate that answers beside the version that serves, and whose answers nobody gets."""

from dataclasses import dataclass

from edge_runtime.statistics.histograms import Histogram


@dataclass(frozen=True)
class ShadowStatistics:
    """A candidate's answers beside those of the version that serves, since the candidate was loaded.

    `requests` and `rows` were compared; `agreeing_rows` of them had the same answer within the tolerance of the
    candidate's golden vectors. `largest_gap` is the largest difference between two outputs. `failed` requests had no
    answer of the candidate, `skipped` ones were not asked. `compute_s` is the time of its calls, in seconds.
    """

    release: str
    digest: str
    requests: int
    rows: int
    agreeing_rows: int
    largest_gap: float
    failed: int
    skipped: int
    compute_s: Histogram
