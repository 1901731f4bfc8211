"""Which test rows decide about a metric, as far as it is known before any model is there."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from quality_gates.errors import EvidenceError
from quality_gates.evidence import SliceIndex
from quality_gates.policy import MetricChoice
from quality_gates.statistics import is_class, target_of


@dataclass(frozen=True)
class Foreseen:
    """`rows` in test that the metric looks at, and how many rows of accuracy they are `worth` to it.

    None where the models' answers decide which rows count or how much; `unknown` then says what on.
    """

    rows: int | None
    worth: float | None = None
    unknown: str = ""


def foresee(choice: MetricChoice, rows: pd.DataFrame, index: SliceIndex) -> Foreseen:
    """Say what the right answers and slices alone tell. Raises EvidenceError where no row would ever count."""
    seen = rows[index.mask(choice.slice)]
    if choice.is_function:
        return Foreseen(len(seen), unknown=f"it depends on how {choice.metric} varies between rows")
    match choice.metric:
        case "accuracy":
            return Foreseen(len(seen), len(seen))
        case "mae" | "rmse":
            return Foreseen(len(seen), unknown="it depends on how far the errors of the two models part")
        case "balanced_accuracy" | "macro_f1":
            return _of_all_classes(choice, seen)
    return _of_one_class(choice, seen)


def _of_one_class(choice: MetricChoice, seen: pd.DataFrame) -> Foreseen:
    truly, of = _truly(choice, seen), choice.of
    n, others = int(truly.sum()), int((~truly).sum())
    if choice.metric == "recall":
        return Foreseen(n, n)
    if choice.metric == "precision":
        return Foreseen(None, unknown=f"its rows are those that the models call {of!r}; {n:,} truly are")
    if choice.metric == "f1":
        return Foreseen(None, unknown=f"beside {n:,} rows of {of!r}, those count that the models call so")
    if not others:
        raise EvidenceError(f"AUROC needs rows of class {of!r} and others; every row is of it.", "Correct `of`.")
    return Foreseen(
        len(seen), unknown=f"it depends on how alike the models rank {n:,} rows of {of!r} against {others:,} others"
    )


def _of_all_classes(choice: MetricChoice, seen: pd.DataFrame) -> Foreseen:
    counts = target_of(seen).value_counts()
    if choice.metric == "macro_f1":
        named = f"{counts.index[-1]!r} of {int(counts.iloc[-1]):,} rows counts as much as any class"
        return Foreseen(None, unknown=f"rows count by what the models call them; {named}")
    # The mean of K recalls on n_k rows each varies as accuracy does on K^2 / (1/n_1 + ... + 1/n_K) rows.
    return Foreseen(len(seen), len(counts) ** 2 / float((1 / counts).sum()))


def _truly(choice: MetricChoice, seen: pd.DataFrame) -> npt.NDArray[np.bool_]:
    truly = np.array([is_class(value, choice.of) for value in target_of(seen)], dtype=bool)
    if not truly.any():
        raise EvidenceError(f"No row is truly of class {choice.of!r}.", "Correct `of` in the policy.")
    return truly
