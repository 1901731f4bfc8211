"""Metrics of classes, from a table of right answer x candidate's answer x reference's answer.

They have bootstrap bounds. Recall as accuracy on a slice of one label is a share of rows: its exact bounds are in
`proportions`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

from quality_gates.errors import EvidenceError, UndecidedError
from quality_gates.evidence import RowGroups
from quality_gates.policy import MetricChoice, Value
from quality_gates.statistics.bootstrap import (
    BootstrapMetric,
    Counts,
    Figure,
    Floats,
    GroupedRows,
    SummedRows,
    as_pair,
)

Codes: TypeAlias = npt.NDArray[np.int64]
MOST_CLASSES = 2000


@dataclass(frozen=True)
class ClassTable:
    """The cells of the table that hold rows: `cells` (cells, 3) of codes into `classes`, with their `counts`.

    `place` (rows,) is the cell of each row.
    """

    classes: tuple[object, ...]
    cells: Codes
    counts: Counts
    place: npt.NDArray[np.intp]

    @classmethod
    def of(cls, target: pd.Series, candidate: pd.Series, reference: pd.Series) -> "ClassTable":
        """Count rows. The order of the cells depends on the classes alone."""
        columns = [_factorized(column) for column in (target, candidate, reference)]
        classes = tuple(sorted({value for _, values in columns for value in values}, key=_order))
        if len(classes) > MOST_CLASSES:
            raise EvidenceError(
                f"{len(classes):,} classes are too many for a bootstrap; {MOST_CLASSES:,} are the most.",
                "Hold accuracy instead, or let the workload's predictions say coarser classes.",
            )
        place = {value: code for code, value in enumerate(classes)}
        codes = [np.array([place[value] for value in values], dtype=np.int64)[own] for own, values in columns]
        size = len(classes)
        told = (codes[0] * size + codes[1]) * size + codes[2]
        joined, place, counts = np.unique(told, return_inverse=True, return_counts=True)
        cells = np.stack([joined // size**2, joined // size % size, joined % size], axis=1)
        if not (cells[:, 0] == cells[:, 2]).any() and not (cells[:, 0] == cells[:, 1]).any():
            raise EvidenceError(
                f"No answer of either model is ever right; predictions and targets name {_named(classes)}.",
                "Let Workload.right_answers and Workload.predictions give the classes the same names.",
            )
        return cls(classes, cells, counts.astype(np.int64), place.astype(np.intp))

    def code(self, of: Value | None) -> int:
        """Return the code of a class that at least one row truly is; raises EvidenceError."""
        known = {self.classes[code] for code in np.unique(self.cells[:, 0])}
        code = next((code for code, value in enumerate(self.classes) if _equal(value, of)), None)
        if code is None or self.classes[code] not in known:
            raise EvidenceError(
                f"No row is truly of class {of!r}; {_said(sorted(known, key=_order))}.",
                "Correct `of` in the recipe, or add such rows to the split that was measured.",
            )
        return code

    def units(self) -> SummedRows:
        """Per class and model: rows truly of it, those found, and those so called: columns (2 models, 3, classes)."""
        size, rows = len(self.classes), np.arange(len(self.cells))
        target = self.cells[:, 0]
        places, values = [], []
        for model, answer in enumerate((self.cells[:, 1], self.cells[:, 2])):
            places += [(3 * model + which) * size + code for which, code in enumerate((target, target, answer))]
            values += [np.ones(len(rows)), (answer == target).astype(float), np.ones(len(rows))]
        where = (np.tile(rows, 6), np.concatenate(places))
        return SummedRows(
            self.counts, scipy.sparse.csr_array((np.concatenate(values), where), shape=(len(rows), 6 * size))
        )


def metric_of(name: str, code: int | None, classes: int) -> Figure:
    """Return the metric of the candidate and of the reference, from sums (draws, ...) to (draws, 2).

    Where nothing was called a class its precision is 0; classes without a row count for no average.
    Raises EvidenceError for a name that no metric of classes has.
    """

    def figures(sums: Floats) -> Floats:
        true, found, called = np.moveaxis(sums.reshape(len(sums), 2, 3, classes), 2, 0)
        recall, precision = _ratio(found, true), _ratio(found, called)
        f1 = _ratio(2 * found, true + called)
        match name:
            case "recall" | "precision" | "f1":
                of_class = {"recall": recall, "precision": precision, "f1": f1}[name]
                return of_class[:, :, code]
            case "balanced_accuracy":
                return _mean_where(recall, true > 0)
            case "macro_f1":
                return _mean_where(f1, true > 0)
        raise EvidenceError(f"The metric {name} is not known.", "Correct `metric` in the recipe.")

    return figures


def gain_of(name: str, code: int | None, classes: int) -> Figure:
    """Return candidate - reference as a figure of the sums."""
    both = metric_of(name, code, classes)

    def gain(sums: Floats) -> Floats:
        values = both(sums)
        return values[:, 0] - values[:, 1]

    return gain


def class_metric(choice: MetricChoice, rows: pd.DataFrame, groups: RowGroups | None = None) -> BootstrapMetric:
    """Prepare a metric of classes on paired rows; raises EvidenceError where they lack what it needs."""
    table = ClassTable.of(target_of(rows), rows["candidate_prediction"], rows["reference_prediction"])
    code, size = None if choice.of is None else table.code(choice.of), len(table.classes)
    figures = metric_of(choice.metric, code, size)
    gain = gain_of(choice.metric, code, size)
    units = table.units()
    values = figures(units.total)[0]
    others = [place for place in {code or 0, 0, size - 1} if place is not None]
    wrongs = [(truth, answer) for truth in range(size) for answer in others if answer != truth]
    against = _extreme(table, units, gain, [(truth, answer, truth) for truth, answer in wrongs], np.argmin)
    towards = _extreme(table, units, gain, [(truth, truth, answer) for truth, answer in wrongs], np.argmax)
    grouped = None if groups is None else GroupedRows(units.sums, table.place, groups)
    return BootstrapMetric(len(rows), as_pair(values), 1, figures, units, against, towards, grouped)


def check_classes(choice: MetricChoice, target: pd.Series, known: Mapping[object, int]) -> None:
    """Raise UndecidedError where the metric is also about a class that no row is of, so that it would look away.

    `target` are the right answers of the rows, `known` the classes that belong there, with their rows in another split.
    Recall is about its own class alone. Precision, F1 and AUROC of a class are also about the rows of all others, which
    may be taken for it.
    """
    present = {value.item() if isinstance(value, np.generic) else value for value in target.unique()}
    missing = [value for value in known if value not in present]
    if choice.metric == "recall":
        missing = [value for value in missing if is_class(value, choice.of)]
    if not missing:
        return
    first = max(missing, key=lambda value: known[value])
    count = known[first]
    raise UndecidedError(
        f"{choice.title} is also about class {_named(sorted(missing, key=_order))}, of which there is none among these "
        f"{len(target):,} rows; another split has {count:,} of {first!r}.",
        "Add rows of the class to the split, or hold a metric that needs none, such as accuracy.",
    )


def target_of(rows: pd.DataFrame) -> pd.Series:
    """Return the right answers; raises EvidenceError where they are not known."""
    if "target" not in rows.columns:
        raise EvidenceError(
            "The measured rows do not say what the right answer is.",
            "Let Workload.right_answers return one for each row, in the words of Workload.predictions.",
        )
    if missing := int(rows["target"].isna().sum()):
        raise EvidenceError(
            f"{missing} of {len(rows)} rows have no right answer.",
            "Let Workload.right_answers return one for each row.",
        )
    return rows["target"]


def is_class(value: object, of: object) -> bool:
    """Return True for a right answer that is the class that a policy names: 1 is not true."""
    return bool(value == of) and isinstance(value, bool | np.bool_) == isinstance(of, bool)


def _extreme(
    table: ClassTable,
    units: SummedRows,
    gain: Figure,
    cells: list[tuple[int, int, int]],
    pick: Callable[[Floats], np.intp],
) -> Floats:
    """Return the sums of the one row that moves the gain most."""
    if not cells:  # a single class leaves nothing to be wrong about
        return np.zeros(units.total.shape[1])
    one_each = np.ones(len(cells), dtype=np.int64)
    alone = ClassTable(table.classes, np.array(cells), one_each, np.arange(len(cells))).units().dense
    loudest: Floats = alone[int(pick(gain(units.total + alone)))]
    return loudest


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _mean_where(values: Floats, counted: npt.NDArray[np.bool_]) -> Floats:
    mean: Floats = np.where(counted, values, 0).sum(axis=-1) / np.maximum(counted.sum(axis=-1), 1)
    return mean


def _factorized(column: pd.Series) -> tuple[Codes, list[object]]:
    codes, values = pd.factorize(column)
    return codes.astype(np.int64), [value.item() if isinstance(value, np.generic) else value for value in values]


def _named(classes: Sequence[object]) -> str:
    listed = [repr(each) for each in classes[:10]] + ([f"{len(classes) - 10} more"] if len(classes) > 10 else [])
    return " and ".join([", ".join(listed[:-1])] * (len(listed) > 1) + listed[-1:])


def _said(classes: Sequence[object]) -> str:
    return f"the only class is {_named(classes)}" if len(classes) == 1 else f"the classes are {_named(classes)}"


def _order(value: object) -> tuple[str, object]:
    if isinstance(value, int | float):
        return "number", (float(value), isinstance(value, bool))
    return type(value).__name__, str(value)


def _equal(value: object, of: Value | None) -> bool:
    return value == of and isinstance(value, bool) == isinstance(of, bool)
