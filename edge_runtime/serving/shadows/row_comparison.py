"""Comparison of two versions' answers to the same rows: the rows that agree, and the largest gap."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

NEAR = 1e-3
"""Share of the larger of two values by which they may differ, where no golden vectors say how much is tolerated."""


@dataclass(frozen=True)
class RowComparison:
    """Rows that were compared, those of them that agree, and the largest finite gap of a floating point output."""

    rows: int
    agreeing_rows: int
    largest_gap: float


def compare_rows(
    served: Mapping[str, np.ndarray], beside: Mapping[str, np.ndarray], rows: int, tolerance: Mapping[str, float]
) -> RowComparison:
    """Compare the outputs that two versions share; a row agrees where it does in each of them.

    Floating point values of several axes, with more than one value on the last, agree where the largest of these is at
    the same place: the classes of a classifier. Others agree within the tolerance of their output, or within NEAR. An
    output of another shape agrees nowhere, and NaN only with NaN. An output without an axis of rows is one of all rows.
    """
    agree = np.ones(rows, bool)
    gap = 0.0
    for name in served.keys() & beside.keys():
        one, other = served[name], beside[name]
        if one.shape != other.shape:
            agree[:] = False
            continue
        floating = all(np.issubdtype(array.dtype, np.floating) for array in (one, other))
        gap = max(gap, _largest_gap(one, other) if floating else 0.0)
        same = _same_place(one, other) if floating and _has_classes(one) else _near(one, other, tolerance.get(name))
        if same.ndim and len(same) == rows:
            agree &= same.all(axis=tuple(range(1, same.ndim)))
        else:
            agree &= same.all()
    return RowComparison(rows, int(agree.sum()), gap)


def _has_classes(array: np.ndarray) -> bool:
    return array.ndim > 1 and array.shape[-1] > 1


def _same_place(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Tell where the largest values of the last axis are at the same place; a NaN must be one in both."""
    same: np.ndarray = one.argmax(axis=-1) == other.argmax(axis=-1)
    same &= (np.isnan(one) == np.isnan(other)).all(axis=-1)
    return same


def _near(one: np.ndarray, other: np.ndarray, allowed: float | None) -> np.ndarray:
    """Tell where values differ by no more than is allowed."""
    first, second = (array.astype(np.float64) for array in (one, other))
    with np.errstate(invalid="ignore"):
        gap = np.abs(first - second)
        most = NEAR * np.maximum(np.abs(first), np.abs(second)) if allowed is None else allowed
        near: np.ndarray = np.isfinite(gap) & (gap <= most)
    near |= (first == second) | (np.isnan(first) & np.isnan(second))
    return near


def _largest_gap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference of two values that are both finite."""
    with np.errstate(invalid="ignore"):
        gap = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return float(gap.max(initial=0.0, where=np.isfinite(gap)))
