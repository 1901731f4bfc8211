"""Classes that are known before a model answers, so that a metric of classes cannot look away from one without rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from quality_gates.errors import EmptySliceError, EvidenceError
from quality_gates.evidence.slices import in_slice
from quality_gates.policy import SliceCondition


@dataclass(frozen=True, eq=False)
class KnownClasses:
    """The classes that right answers of other splits name. Each split is a frame of `target` and its slice columns."""

    splits: tuple[pd.DataFrame, ...] = ()

    def on(self, condition: SliceCondition | None) -> Mapping[object, int]:
        """Return the classes of a slice's rows, in the words of predictions, with their most rows in one split.

        A split that cannot say which of its rows are in the slice may have rows of all its classes there.
        """
        known: dict[object, int] = {}
        for rows in self.splits:
            for value, count in _within(rows, condition)["target"].dropna().value_counts().items():
                plain = value.item() if isinstance(value, np.generic) else value
                known[plain] = max(known.get(plain, 0), int(count))
        return known


def _within(rows: pd.DataFrame, condition: SliceCondition | None) -> pd.DataFrame:
    try:
        return rows[in_slice(rows, condition)]
    except EmptySliceError:
        return rows.iloc[:0]
    except EvidenceError:  # no such column, or one that the condition cannot be asked of
        return rows
