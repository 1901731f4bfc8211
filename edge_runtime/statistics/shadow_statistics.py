"""Figures of a candidate that answers beside the version that serves, and whose answers nobody gets."""

from dataclasses import dataclass

from edge_runtime.statistics.histograms import Histogram


@dataclass(frozen=True)
class ShadowStatistics:
    """A candidate's answers beside those of the version that serves, since the two of them were first compared.

    `requests` and `rows` were compared; `agreeing_rows` of them had the same class, or values within the tolerance of
    the golden vectors of the version that serves. `largest_gap` is the largest finite difference of two floating point
    values. `failed` requests had no answer of the candidate; `skipped` ones were of its share, but it was at work, had
    to rest, or had none of the outputs. `compute_s` is the time of its calls, in seconds.
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
