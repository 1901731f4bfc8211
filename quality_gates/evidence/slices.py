"""Slices: conditions turned into masks over rows, each column read once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from quality_gates.errors import EmptySliceError, EvidenceError
from quality_gates.evidence.groups import group_name
from quality_gates.policy import SliceCondition, Value

Mask = npt.NDArray[np.bool_]
_VALUES_NAMED = 10


class SliceIndex:
    """The slice columns of some rows. A column's values are told apart once, however many conditions ask for it."""

    def __init__(self, rows: pd.DataFrame, split: str = "test") -> None:
        """Read nothing yet: a column is read when a condition asks for it. `split` is where the rows are from."""
        self._rows, self.split = rows, split
        self._columns: dict[str, _Column] = {}

    def mask(self, condition: SliceCondition | None) -> Mask:
        """Return a mask over the rows, all true without a condition.

        Of several conditions, one whose column has gaps, or holds no numbers to compare, is asked of the rows alone
        that all others leave: a row that is not in the slice by another condition is not, whatever that column holds.

        Raises EvidenceError when a column does not exist, has gaps or holds no numbers to compare, or no row fits.
        """
        mask = np.ones(len(self._rows), dtype=bool)
        if condition is None:
            return mask
        parts, open_parts = condition.parts, []
        for part in parts:
            try:
                mask &= self._part(part)
            except EmptySliceError:
                raise
            except EvidenceError:
                if len(parts) == 1 or part.column not in self._rows.columns:
                    raise
                open_parts.append(part)
        if open_parts and mask.any():
            mask[mask] = self._among(mask, open_parts)
        if not mask.any():
            raise EmptySliceError(f"No row has {condition}.", self._more_rows)
        return mask

    def _among(self, mask: Mask, parts: Sequence[SliceCondition]) -> Mask:
        """Return which of the rows of a mask fulfil conditions that cannot be asked of all rows."""
        columns = list(dict.fromkeys(part.column for part in parts))
        left = SliceIndex(self._rows.loc[mask, columns].infer_objects().reset_index(drop=True), self.split)
        return np.logical_and.reduce([left._part(part) for part in parts])

    @property
    def _more_rows(self) -> str:
        return f"Correct the `slice` in the recipe, or add such rows to the {self.split} split."

    def values(self, column: str) -> tuple[npt.NDArray[np.intp], list[Value]]:
        """Return a code for each row and the value of each code; raises EvidenceError."""
        read = self._column(column)
        return read.codes, [_plain(value) for value in read.distinct]

    def groups(self, column: str) -> npt.NDArray[np.intp]:
        """Return the number of each row's group: values of one name are one group; raises EvidenceError."""
        codes, values = self.values(column)
        _, numbers = np.unique([group_name(value) for value in values], return_inverse=True)
        return numbers.astype(np.intp)[codes]

    def _part(self, condition: SliceCondition) -> Mask:
        column = self._column(str(condition.column))
        if condition.equals is not None or condition.one_of is not None:
            wanted = condition.one_of if condition.equals is None else (condition.equals,)
            mask = column.among(wanted or ())
        else:
            mask = _between(column.numbers(str(condition.column)), condition)
        if not mask.any():
            what = f"{condition.column} = {condition.equals!r}" if condition.equals is not None else str(condition)
            raise EmptySliceError(
                f"No row has {what}; it holds {column.named()}.",
                self._more_rows,
            )
        return mask

    def _column(self, name: str) -> "_Column":
        if name not in self._columns:
            self._columns[name] = _Column.of(self._rows, name, self.split)
        return self._columns[name]


@dataclass(frozen=True)
class _Column:
    values: pd.Series
    codes: npt.NDArray[np.intp]
    distinct: list[object]

    @classmethod
    def of(cls, rows: pd.DataFrame, name: str, split: str) -> "_Column":
        if name not in rows.columns:
            raise EvidenceError(
                f"No column {name!r} in the measured rows, which have {', '.join(map(str, rows.columns))}.",
                f"Let the workload give every {split} row a {name!r}, or correct the `slice` in the recipe.",
            )
        values = rows[name]
        gaps = int(values.isna().sum())
        if gaps:
            raise EvidenceError(
                f"{gaps} of {len(values)} rows have no {name}, so it is unknown whether they are in the slice.",
                f"Give every {split} row a {name!r}, if need be a value that means unknown.",
            )
        # Objects are told apart with their type: Python takes True for 1.
        told = pd.Series([(type(cell), cell) for cell in values]) if _is_mixed(values) else values
        codes, distinct = pd.factorize(told)
        return cls(values, codes, [cell[1] if _is_mixed(values) else cell for cell in distinct])

    def among(self, wanted: tuple[Value, ...]) -> Mask:
        found = [any(_same(cell, value) for value in wanted) for cell in self.distinct]
        return np.array(found, dtype=bool)[self.codes]

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        numeric = pd.api.types.is_numeric_dtype(self.values) and not pd.api.types.is_bool_dtype(self.values)
        if not numeric:
            raise EvidenceError(
                f"The column {name} holds {self.named()}; bounds need numbers.",
                "Let the workload give numbers there, or name the values with `equals` or `in`.",
            )
        return self.values.to_numpy(dtype=float)

    def named(self) -> str:
        named = ", ".join(repr(_plain(value)) for value in self.distinct[:_VALUES_NAMED])
        rest = len(self.distinct) - _VALUES_NAMED
        return named + (f" and {rest} more" if rest > 0 else "")


def in_slice(rows: pd.DataFrame, condition: SliceCondition | None) -> Mask:
    """Return a mask over `rows`, all true without a condition; raises EvidenceError as SliceIndex.mask does."""
    return SliceIndex(rows).mask(condition)


def _between(numbers: npt.NDArray[np.float64], condition: SliceCondition) -> Mask:
    mask = np.ones(len(numbers), dtype=bool)
    for bound, keep in (
        (condition.start, np.greater_equal),
        (condition.stop, np.less),
        (condition.above, np.greater),
        (condition.below, np.less),
    ):
        if bound is not None:
            mask &= keep(numbers, bound)
    return mask


def _is_mixed(values: pd.Series) -> bool:
    return values.dtype == object and pd.api.types.infer_dtype(values) != "string"


def _same(cell: object, value: Value) -> bool:
    # A slice on label 1 must not pick up a column of truth values, nor the reverse.
    return bool(cell == value) and isinstance(cell, bool | np.bool_) == isinstance(value, bool)


def _plain(value: object) -> Value:
    plain = value.item() if isinstance(value, np.generic) else value
    return plain if isinstance(plain, str | int | float | bool) else str(plain)
