"""Groups of rows that belong together, such as the frames of one part: the units that a confidence bound counts."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt


def group_name(value: object) -> str:
    """Return the text by which a group is told from others: 1 is "1" and 1.0, and space around a name is none of it."""
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value) if whole else value).strip()  # type: ignore[call-overload]  # a number, as was just seen


@dataclass(frozen=True, eq=False)
class RowGroups:
    """The group of each row: `codes` (rows,) from 0 to the number of groups, of which each has a row."""

    codes: npt.NDArray[np.intp]

    @classmethod
    def of(cls, codes: npt.NDArray[np.intp]) -> "RowGroups | None":
        """Number the groups of some rows again; None where each row is a group of its own, so that rows count."""
        distinct, own = np.unique(codes, return_inverse=True)
        return None if len(distinct) == len(codes) else cls(own.astype(np.intp))

    @property
    def count(self) -> int:
        """The number of groups."""
        return len(self.sizes)

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """The rows of each group, (groups,)."""
        return np.bincount(self.codes).astype(np.int64)

    @property
    def rows_beside(self) -> float:
        """The mean size of a row's own group, which is more than the mean size of groups where these differ."""
        return float((self.sizes**2).sum() / self.sizes.sum())

    @property
    def effective(self) -> float:
        """The number of groups of one size that vary as these do together (Kish L. Survey sampling. Wiley 1965)."""
        return len(self.codes) / self.rows_beside

    def sums(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Sum values (rows,) within each group, in an order that does not depend on that of the rows: (groups,)."""
        order = np.lexsort((values, self.codes))
        return np.add.reduceat(values[order], np.concatenate([[0], np.cumsum(self.sizes)[:-1]]))
