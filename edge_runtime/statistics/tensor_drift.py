"""Drift of one tensor: where its values lie between the quantiles of the calibration rows, and an index of the change.

The index is the population stability index, sum((seen - expected) * ln(seen / expected)) over the bins, with shares.
Below 0.1 it is usually taken as no change, from 0.25 on as a large one (N. Siddiqi, Credit Risk Scorecards, 2006).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edge_runtime.bundle import QUANTILES

BINS = len(QUANTILES) + 1
"""Bins of a tensor: below the least quantile, between two of them, and above the largest."""
SMALL_DRIFT, LARGE_DRIFT = 0.1, 0.25
"""The index below which nothing has changed, and from which on much has."""
PRIOR_ROWS = 50
"""Rows that are added to those seen, with values as expected, so that a few rows do not look like a change."""
OUTSIDE = 0.001
"""The share that is expected on either side of the calibration rows, which cannot hold every value there is."""


@dataclass(frozen=True)
class TensorDrift:
    """The values of one tensor since a version began to serve, in `rows` rows that were looked at.

    `counts` has the values of each of BINS, of which at most some per row are counted. NaN counts as above the largest
    quantile. `index` is the population stability index of `counts` against the shares that QUANTILES say.
    """

    tensor: str
    rows: int
    counts: tuple[int, ...]
    index: float


def drift_index(counts: Sequence[int], rows: int) -> float:
    """Return the population stability index of counts over BINS, from `rows` rows; 0.0 where nothing was counted."""
    values = sum(counts)
    if values == 0:
        return 0.0
    weight = rows / (rows + PRIOR_ROWS)
    shares = expected_shares()
    seen = (weight * count / values + (1 - weight) * share for count, share in zip(counts, shares, strict=True))
    return math.fsum((saw - share) * math.log(saw / share) for saw, share in zip(seen, shares, strict=True))


def expected_shares() -> tuple[float, ...]:
    """Return the share of the values that is expected in each of BINS."""
    inside = [above - below for below, above in pairwise(QUANTILES)]
    return (OUTSIDE, *(share * (1 - 2 * OUTSIDE) for share in inside), OUTSIDE)
