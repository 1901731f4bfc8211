"""Some rows of a split, where a hint is wanted and no gate decides."""

from collections.abc import Iterable

import numpy as np

from deployments.workload import Split
from quality_gates.errors import EvidenceError
from quality_gates.evidence import in_slice
from quality_gates.policy import SliceCondition

ROWS = 400
SLICE_ROWS = 100  # of each slice that an even spread may miss


def some_rows(split: Split) -> Split:
    """At most so many rows, evenly spread."""
    return taken(split, _spread(np.arange(len(split)), ROWS))


def rows_with_slices(split: Split, conditions: Iterable[SliceCondition]) -> tuple[Split, np.ndarray]:
    """The same and rows of each slice besides, for what is rare is what matters; and which of them are the spread."""
    spread = _spread(np.arange(len(split)), ROWS)
    chosen = np.unique(np.concatenate([spread, *(_of_slice(split, condition) for condition in conditions)]))
    return taken(split, chosen), np.isin(chosen, spread)


def taken(split: Split, rows: np.ndarray) -> Split:
    """The split's rows with these numbers."""
    return Split(
        tuple(array[rows] for array in split.inputs),
        split.targets[rows],
        split.slices.iloc[rows].reset_index(drop=True),
    )


def _of_slice(split: Split, condition: SliceCondition) -> np.ndarray:
    try:
        return _spread(np.flatnonzero(in_slice(split.slices, condition)), SLICE_ROWS)
    except EvidenceError:
        return np.zeros(0, dtype=int)


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)]
