"""The bootstrap: bounds of a metric of two models that is computed from sums over rows.

Source: Efron B. Better bootstrap confidence intervals. Journal of the American Statistical Association 1987;82:171-185
(bias-corrected and accelerated, BCa). Rows are drawn together with both models' answers, so everything is paired.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are used

from quality_gates.evidence import RowGroups
from quality_gates.statistics.grouped_rows import design_effect, widening

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]
Figure: TypeAlias = Callable[[Floats], Floats]
"""From sums (draws, columns) to one figure per draw, larger is better; never NaN."""

DRAWS = 1000
MOST_UNITS = 4000
BUCKETS = 2000
_CHUNK = 4_000_000  # numbers drawn at a time
_SEED = 20_120_314
SIDES = ("candidate", "reference")


@dataclass(frozen=True)
class SummedRows:
    """Units drawn with replacement: `counts` (units,) of equal rows, and `sums` (units, columns) that one adds.

    More than 4,000 units are thrown together at random into 2,000 buckets, which are drawn as wholes: the sums vary as
    before, at a cost that no longer grows with the rows.
    """

    counts: Counts
    sums: "Floats | scipy.sparse.csr_array"

    @property
    def total(self) -> Floats:
        """The sums over all rows, (1, columns)."""
        return (self.counts @ self.sums)[None]

    @property
    def dense(self) -> Floats:
        """The sums as a dense array."""
        return _dense(self.sums)

    @cached_property
    def in_buckets(self) -> "SummedRows":
        """The same rows in no more units than can be drawn quickly, dense."""
        if len(self.counts) <= MOST_UNITS:
            return SummedRows(self.counts, self.dense)
        unit = np.repeat(np.arange(len(self.counts)), self.counts)
        bucket = np.random.default_rng(_SEED).permutation(len(unit)) % BUCKETS
        shape = (BUCKETS, len(self.counts))
        held = scipy.sparse.csr_array((np.ones(len(unit)), (bucket, unit)), shape=shape) @ scipy.sparse.csr_array(
            self.sums
        )
        return SummedRows(np.ones(BUCKETS, dtype=np.int64), held.toarray())

    @cached_property
    def drawn(self) -> Floats:
        """Sums of 1,000 samples, each of as many rows as there are, drawn with replacement: (1,000, columns)."""
        return _drawn(self.in_buckets)


def lower_bound(units: SummedRows, extra: Floats, figure: Figure, confidence: float) -> float:
    """Return the one-sided lower BCa bound of a figure, with the sums `extra` (columns,) of one row more.

    The extra row is drawn as often as any other. Deterministic; the order of the units must not depend on that of rows.
    """
    drawn = figure(_with(units, extra))
    units = units.in_buckets
    estimate = float(figure(units.total + extra)[0])
    if not drawn.std() > 0:
        return estimate
    return bca_bound(drawn, estimate, _acceleration(units, extra, figure), confidence)


def bca_bound(drawn: Floats, estimate: float, acceleration: float, confidence: float) -> float:
    """Return the one-sided lower BCa bound of a figure from its values in samples (draws,)."""
    below = float((drawn < estimate).mean() + (drawn == estimate).mean() / 2)
    bias = float(scipy.special.ndtri(np.clip(below, 1 / (2 * len(drawn)), 1 - 1 / (2 * len(drawn)))))
    shifted = bias - float(scipy.special.ndtri(confidence))
    share = scipy.special.ndtr(bias + shifted / max(1 - acceleration * shifted, 0.1))
    return float(np.quantile(drawn, share, method="lower"))


def spread(units: SummedRows, extra: Floats, figure: Figure) -> float:
    """Return the figure's standard error, with one row more."""
    return float(figure(_with(units, extra)).std())


@dataclass(frozen=True, eq=False)
class GroupedRows:
    """Rows in groups: `place` (rows,) is each row's kind, of which `sums` (kinds, columns) has the sums of one row."""

    sums: "Floats | scipy.sparse.csr_array"
    place: npt.NDArray[np.intp]
    groups: RowGroups

    @cached_property
    def units(self) -> SummedRows:
        """The groups as the units that are drawn, in an order that does not depend on that of the rows."""
        if isinstance(self.sums, scipy.sparse.csr_array):  # counts, whose sums are exact in any order
            members = (np.ones(len(self.place)), (self.groups.codes, self.place))
            held = (
                scipy.sparse.csr_array(members, shape=(self.groups.count, self.sums.shape[0])) @ self.sums
            ).toarray()
        else:
            held = np.stack([self.groups.sums(column) for column in self.sums[self.place].T], axis=1)
        return SummedRows(np.ones(len(held), dtype=np.int64), canonical(held))

    def effect(self, extra: Floats, figure: Figure) -> float:
        """Return the design effect of a figure, by the changes that rows and the row more `extra` make to it."""
        total = self.units.total
        center = float(figure(total)[0])
        at_once = max(1, _CHUNK // self.sums.shape[1])
        parts = [
            center - figure(total - _dense(self.sums[start : start + at_once]))
            for start in range(0, self.sums.shape[0], at_once)
        ]
        loudest = float(abs(figure(total + extra)[0] - center))
        return design_effect(np.concatenate(parts)[self.place], self.groups, loudest)


@dataclass(frozen=True)
class BootstrapMetric:
    """A metric's `values` for (candidate, reference) on `n` rows, and what its bounds are drawn from.

    `figures` gives both models' values of many samples. Few rows that all agree would make a bootstrap sure of what it
    never saw, so the lower bounds are drawn with `against`, the sums of one row more that speaks against the candidate
    as loudly as a row can, and the upper ones with `towards`, of one that speaks for it. Where rows are `grouped`,
    groups are drawn, the row more counts as often as the design effect says, and Student's quantile widens the bounds.
    """

    n: int
    values: tuple[float, float]
    sign: int
    figures: Figure
    units: SummedRows
    against: Floats
    towards: Floats
    grouped: GroupedRows | None = None

    @property
    def groups(self) -> RowGroups | None:
        """The groups of the rows."""
        return None if self.grouped is None else self.grouped.groups

    def gain_bounds(self, confidence: float) -> tuple[float, float]:
        """Return one-sided bounds of the candidate's gain, positive where it is better."""
        return self._bounds(self._gain, confidence)

    def own_bounds(self, confidence: float) -> tuple[float, float]:
        """Return one-sided bounds of the candidate's value."""
        low, high = self._bounds(lambda sums: self.sign * self.figures(sums)[:, 0], confidence)
        return (low, high) if self.sign > 0 else (-high, -low)

    def gain_spread(self) -> float:
        """Return the standard error of the gain."""
        return spread(self._drawn_units, self._louder(self.against, self._gain), self._gain)

    def _gain(self, sums: Floats) -> Floats:
        both = self.figures(sums)
        return self.sign * (both[:, 0] - both[:, 1])

    def _bounds(self, figure: Figure, confidence: float) -> tuple[float, float]:
        return (
            self._lower(self.against, figure, confidence),
            -self._lower(self.towards, lambda sums: -figure(sums), confidence),
        )

    def _lower(self, extra: Floats, figure: Figure, confidence: float) -> float:
        low = lower_bound(self._drawn_units, self._louder(extra, figure), figure, confidence)
        if self.grouped is None:
            return low
        groups, estimate = self.grouped.groups, float(figure(self.units.total)[0])
        return estimate - (estimate - low) * widening(groups, confidence)

    @property
    def _drawn_units(self) -> SummedRows:
        return self.units if self.grouped is None else self.grouped.units

    def _louder(self, extra: Floats, figure: Figure) -> Floats:
        return extra if self.grouped is None else extra * self.grouped.effect(extra, figure)


def canonical(values: Floats) -> Floats:
    """Sort rows (rows, columns), so that nothing that follows depends on their order."""
    return values[np.lexsort(values.T[::-1])]


def _dense(sums: "Floats | scipy.sparse.csr_array") -> Floats:
    return sums.toarray() if isinstance(sums, scipy.sparse.csr_array) else sums


def _with(units: SummedRows, extra: Floats) -> Floats:
    """The samples with the extra row in them, as often as a row is drawn: a Poisson number of times, one on average."""
    times = np.random.default_rng(_SEED + 1).poisson(1, DRAWS)
    return units.drawn + times[:, None] * extra


def _drawn(units: SummedRows) -> Floats:
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


def _acceleration(units: SummedRows, extra: Floats, figure: Figure) -> float:
    """Return the acceleration from the jackknife: each unit once without one of its rows."""
    total = units.total + extra
    without = figure(np.vstack([total - units.dense, total - extra]))
    counts = np.append(units.counts, 1)
    return skewness(without, counts)


def skewness(without: Floats, counts: Counts) -> float:
    """Return the acceleration from a figure's values without one unit (units,), of which there are `counts`."""
    deviation = np.average(without, weights=counts) - without
    squares = float(counts @ deviation**2)
    return float(counts @ deviation**3) / (6 * squares**1.5) if squares > 0 else 0.0


def as_pair(values: Floats) -> tuple[float, float]:
    """Return the values (2,) of candidate and reference as plain numbers."""
    return float(values[0]), float(values[1])
