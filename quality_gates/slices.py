"""Which test rows a gate looks at."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from quality_gates.errors import EvidenceError, PolicyError
from quality_gates.policy import GatePolicy, NonInferiority, SliceCondition

_VALUES_NAMED = 10


def in_slice(rows: pd.DataFrame, condition: SliceCondition | None) -> npt.NDArray[np.bool_]:
    """Return a mask over `rows`, all true without a condition.

    Raises EvidenceError when the column does not exist or has gaps, or no row has the value.
    """
    if condition is None:
        return np.ones(len(rows), dtype=bool)
    if condition.column not in rows.columns:
        raise EvidenceError(
            f"No column {condition.column!r} in the measured rows, which have {', '.join(map(str, rows.columns))}.",
            f"Let the workload give every test row a {condition.column!r}, or correct the slice in the policy.",
        )
    column = rows[condition.column]
    gaps = int(column.isna().sum())
    if gaps:
        raise EvidenceError(
            f"{gaps} of {len(column)} rows have no {condition.column}, so it is unknown whether they are in the slice.",
            f"Give every test row a {condition.column!r}, if need be a value that means unknown.",
        )
    mask = _equal(column, condition.equals)
    if not mask.any():
        raise EvidenceError(
            f"No row has {condition.column} = {condition.equals!r}; it holds {_values(column)}.",
            "Correct the slice in the policy, or add such rows to the test split.",
        )
    return mask


def check_slices(policy: GatePolicy, rows: pd.DataFrame) -> None:
    """Raise PolicyError, before anything is trained, when a gate's slice finds no row in the test split.

    `rows` needs the slice columns only.
    """
    for gate in policy.gates:
        if isinstance(gate, NonInferiority):
            try:
                in_slice(rows, gate.slice)
            except EvidenceError as error:
                raise PolicyError(f"Gate {gate.name!r}: {error}") from error


def _equal(column: pd.Series, value: str | int | float | bool) -> npt.NDArray[np.bool_]:
    # Python takes True for 1; a slice on label 1 must not pick up a column of truth values, nor the reverse.
    truth = isinstance(value, bool)
    matches = [bool(cell == value) and isinstance(cell, bool | np.bool_) == truth for cell in column]
    return np.array(matches, dtype=bool)


def _values(column: pd.Series) -> str:
    values = column.drop_duplicates().tolist()
    named = ", ".join(repr(value) for value in values[:_VALUES_NAMED])
    return named + (f" and {len(values) - _VALUES_NAMED} more" if len(values) > _VALUES_NAMED else "")
