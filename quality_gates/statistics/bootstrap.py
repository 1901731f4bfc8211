"""The bootstrap: bounds of a figure that is computed from sums over rows.

Source: Efron B. Better bootstrap confidence intervals. Journal of the American Statistical Association 1987;82:171-185
(bias-corrected and accelerated, BCa). Rows are drawn together with both models' answers, so everything is paired.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.special import ndtr, ndtri

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]
Figure: TypeAlias = Callable[[Floats], Floats]
"""From sums (draws, columns) to one figure per draw, larger is better; never NaN."""

DRAWS = 1000
MOST_UNITS = 4000
BUCKETS = 2000
_CHUNK = 4_000_000  # numbers drawn at a time
_SEED = 20_120_314


@dataclass(frozen=True)
class Units:
    """What is drawn with replacement: `counts` (units,) of equal rows, and the `sums` (units, columns) that one adds.

    More than 4,000 units are thrown together at random into 2,000 buckets, which are drawn as wholes: the sums vary as
    before, at a cost that no longer grows with the rows.
    """

    counts: Counts
    sums: Floats | csr_array

    @property
    def total(self) -> Floats:
        """The sums over all rows, (1, columns)."""
        return (self.counts @ self.sums)[None]

    @property
    def dense(self) -> Floats:
        """The sums as a dense array."""
        return self.sums.toarray() if isinstance(self.sums, csr_array) else self.sums

    @cached_property
    def in_buckets(self) -> "Units":
        """The same rows in no more units than can be drawn quickly, dense."""
        if len(self.counts) <= MOST_UNITS:
            return Units(self.counts, self.dense)
        unit = np.repeat(np.arange(len(self.counts)), self.counts)
        bucket = np.random.default_rng(_SEED).permutation(len(unit)) % BUCKETS
        shape = (BUCKETS, len(self.counts))
        held = csr_array((np.ones(len(unit)), (bucket, unit)), shape=shape) @ csr_array(self.sums)
        return Units(np.ones(BUCKETS, dtype=np.int64), held.toarray())

    @cached_property
    def drawn(self) -> Floats:
        """Sums of 1,000 samples, each of as many rows as there are, drawn with replacement: (1,000, columns)."""
        return _drawn(self.in_buckets)


def lower_bound(units: Units, extra: Floats, figure: Figure, confidence: float) -> float:
    """Return the one-sided lower BCa bound of a figure, with the sums `extra` (columns,) of one row more.

    The extra row is drawn as often as any other. Deterministic; the order of the units must not depend on that of rows.
    """
    drawn = figure(_with(units, extra))
    units = units.in_buckets
    estimate = float(figure(units.total + extra)[0])
    if not drawn.std() > 0:
        return estimate
    below = float((drawn < estimate).mean() + (drawn == estimate).mean() / 2)
    bias = float(ndtri(np.clip(below, 1 / (2 * DRAWS), 1 - 1 / (2 * DRAWS))))
    shifted = bias - float(ndtri(confidence))
    share = ndtr(bias + shifted / max(1 - _acceleration(units, extra, figure) * shifted, 0.1))
    return float(np.quantile(drawn, share, method="lower"))


def spread(units: Units, extra: Floats, figure: Figure) -> float:
    """Return the figure's standard error, with one row more."""
    return float(figure(_with(units, extra)).std())


def _with(units: Units, extra: Floats) -> Floats:
    """The samples with the extra row in them, as often as a row is drawn: a Poisson number of times, one on average."""
    times = np.random.default_rng(_SEED + 1).poisson(1, DRAWS)
    return units.drawn + times[:, None] * extra


def _drawn(units: Units) -> Floats:
    generator = np.random.default_rng(_SEED)
    n, size = int(units.counts.sum()), len(units.counts)
    at_once = max(1, _CHUNK // size)
    parts = []
    for start in range(0, DRAWS, at_once):
        draws = min(at_once, DRAWS - start)
        if n == size:
            picked = generator.integers(0, size, (draws, size)) + size * np.arange(draws)[:, None]
            weights = np.bincount(picked.ravel(), minlength=draws * size).reshape(draws, size)
        else:
            weights = generator.multinomial(n, units.counts / n, size=draws)
        parts.append(weights.astype(float) @ units.sums)
    return np.concatenate(parts)


def _acceleration(units: Units, extra: Floats, figure: Figure) -> float:
    """Return the acceleration from the jackknife: each unit once without one of its rows."""
    total = units.total + extra
    without = figure(np.vstack([total - units.dense, total - extra]))
    counts = np.append(units.counts, 1)
    deviation = np.average(without, weights=counts) - without
    squares = float(counts @ deviation**2)
    return float(counts @ deviation**3) / (6 * squares**1.5) if squares > 0 else 0.0
