"""Regions of rows that lost most: single values of a column, bins of numbers, and pairs of columns.

The search says nothing about significance: what it finds is to be tested on other rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from quality_gates.evidence import SliceIndex
from quality_gates.policy import SliceCondition

Floats: TypeAlias = npt.NDArray[np.float64]
FEW_VALUES = 12  # a column of numbers with no more of them is read as names
COARSE, FINE = (4, 10), (50,)  # quantile bins; the fine ones only by themselves, not in pairs
SAME = 0.8


@dataclass(frozen=True)
class Region:
    """A condition, its rows on the rows that were searched, and how much was lost there on average."""

    condition: SliceCondition
    n: int
    loss: float
    strength: float


@dataclass(frozen=True)
class WeakRegions:
    """The weakest regions of the rows that were searched, and how many regions of rows enough were looked at."""

    regions: tuple[Region, ...]
    searched: int


@dataclass(frozen=True)
class _Partition:
    """One column cut into parts: a code for each row and a condition for each code."""

    column: str
    codes: npt.NDArray[np.intp]
    conditions: tuple[SliceCondition, ...]
    fine: bool = False


def weakest_regions(
    index: SliceIndex, columns: Sequence[str], loss: Floats, *, min_rows: int, margin: float, most: int
) -> WeakRegions:
    """Return the regions that lost more than `margin` on average, those that show it best first.

    `loss` (rows,) is reference - candidate score. Regions of fewer than `min_rows` rows are left out, and so are those
    that share four of five of their rows with a stronger one. Raises EvidenceError for a column that cannot be read.
    """
    partitions = [part for column in columns for part in _partitions(index, column)]
    pairs = [
        pair
        for pair in combinations([part for part in partitions if not part.fine], 2)
        if pair[0].column != pair[1].column
    ]
    counted = [_counted((part,), loss) for part in partitions] + [_counted(pair, loss) for pair in pairs]
    found = [region for each in counted for region in _regions(each, min_rows, margin)]
    found.sort(key=lambda region: (-region.strength, str(region.condition)))
    searched = sum(int((each.rows >= min_rows).sum()) for each in counted)
    return WeakRegions(tuple(_distinct(index, found, most)), searched)


def _partitions(index: SliceIndex, column: str) -> Iterator[_Partition]:
    codes, values = index.values(column)
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numeric or len(values) <= FEW_VALUES:
        yield _Partition(column, codes, tuple(SliceCondition(column=column, equals=value) for value in values))
        return
    numbers = np.array(values, dtype=float)[codes]
    for bins in (*COARSE, *FINE):
        edges = np.unique(np.quantile(numbers, np.arange(1, bins) / bins))
        cut = np.searchsorted(edges, numbers, side="right")
        yield _Partition(column, cut, _bins(column, edges), fine=bins in FINE)


def _bins(column: str, edges: Floats) -> tuple[SliceCondition, ...]:
    bounds = [None, *map(float, edges), None]
    return tuple(
        SliceCondition.model_validate({"column": column, "from": low, "to": high}) for low, high in pairwise(bounds)
    )


@dataclass(frozen=True)
class _Counted:
    """The rows of each region of some parts, with the sums of their losses and of the squares."""

    parts: Sequence[_Partition]
    rows: Floats
    sums: Floats
    squares: Floats


def _counted(parts: Sequence[_Partition], loss: Floats) -> _Counted:
    codes, size = parts[0].codes, len(parts[0].conditions)
    for part in parts[1:]:
        codes, size = codes * len(part.conditions) + part.codes, size * len(part.conditions)
    rows = np.bincount(codes, minlength=size).astype(float)
    return _Counted(parts, rows, *(np.bincount(codes, each, size).astype(float) for each in (loss, loss**2)))


def _regions(counted: _Counted, min_rows: int, margin: float) -> Iterator[Region]:
    rows, sums = counted.rows, counted.sums
    lost = sums / np.maximum(rows, 1)
    # How far the loss beyond the margin stands out; one more discordant row keeps the smallest from looking certain.
    strength = (sums - margin * rows) / np.sqrt(counted.squares + 1)
    for code in np.flatnonzero((rows >= min_rows) & (lost > margin)):
        condition = _condition(counted.parts, int(code))
        yield Region(condition, int(rows[code]), float(lost[code]), float(strength[code]))


def _condition(parts: Sequence[_Partition], code: int) -> SliceCondition:
    conditions = []
    for part in reversed(parts):
        code, own = divmod(code, len(part.conditions))
        conditions.append(part.conditions[own])
    return conditions[0] if len(conditions) == 1 else SliceCondition(all=tuple(reversed(conditions)))


def _distinct(index: SliceIndex, found: Sequence[Region], most: int) -> list[Region]:
    kept: list[tuple[Region, npt.NDArray[np.bool_]]] = []
    for region in found:
        mask = index.mask(region.condition)
        if all((mask & other).sum() < SAME * (mask | other).sum() for _, other in kept):
            kept.append((region, mask))
        if len(kept) == most:
            break
    return [region for region, _ in kept]
