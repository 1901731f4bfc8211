"""Planning: which gates the test rows can decide at all, told before anything is trained."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from quality_gates.errors import EvidenceError
from quality_gates.evidence import KnownClasses, RowGroups, SliceIndex
from quality_gates.policy import MetricChoice, SliceCondition
from quality_gates.statistics import (
    FEWEST_GROUPS,
    POWER,
    check_classes,
    is_class,
    rows_needed,
    rows_without_a_miss,
    target_of,
)

ONLY_SHOWN = "yes: only a {} that is shown stops it, and few rows show none"
_NEVER = "no: no number of rows shows it between equal models"


@dataclass(frozen=True)
class PlanLine:
    """One gate: the rows in test that decide, those it needs, and what follows.

    `rows` is None where it is not about numbers of rows, or where the models' answers say which rows count; `needed`
    where no number can be named before there is a model.
    """

    name: str
    rows: int | None
    needed: int | None
    answer: str

    @property
    def decidable(self) -> bool:
        """True where the gate can be expected to decide."""
        return self.answer.startswith("yes")


@dataclass(frozen=True)
class Foreseen:
    """`rows` in test that a metric looks at, and how many rows of accuracy they are `worth` to it.

    None where the models' answers decide which rows count or how much; `unknown` then says what on.
    """

    rows: int | None
    worth: float | None = None
    unknown: str = ""


@dataclass(frozen=True)
class PlannedRows:
    """The test rows as they are known before there is a model.

    `rows` has the slice columns, and `target` where it is known. `discordance` is the share of rows, in each class, on
    which exactly one of two equal models is right; half of them flip the one way, half the other. `classes` are those
    that other splits name. `group` is the column whose values mark rows that belong together.
    """

    rows: pd.DataFrame
    index: SliceIndex
    discordance: float
    classes: KnownClasses
    group: str | None = None

    def in_groups(self, line: PlanLine, condition: SliceCondition | None) -> PlanLine:
        """Return a gate's line for rows that belong together: what rows alone decide may take more groups.

        Where rows of a group are all answered alike, they are worth no more than one row. `needed` is then the number
        of rows that do at the least, if the rows of a group are answered independently.
        """
        mask = self.index.mask(condition)
        groups = None if self.group is None else RowGroups.of(self.index.groups(self.group)[mask])
        if groups is None or line.rows is None:
            return line
        if groups.count < FEWEST_GROUPS:
            few = f"no: {groups.count} groups, and {FEWEST_GROUPS} are the fewest that decide"
            return replace(line, needed=None, answer=few)
        if not line.decidable:
            return replace(line, answer=f"{line.answer}; the rows are of {groups.count:,} groups")
        needed, size = line.needed or 0, line.rows / groups.count
        if needed * groups.rows_beside <= line.rows:
            return line
        independent, alike = (math.ceil(rows / size) for rows in (needed, needed * groups.rows_beside))
        why = (
            f"about {max(independent, FEWEST_GROUPS):,} groups do if the rows of a group are answered independently, "
            f"{max(alike, FEWEST_GROUPS):,} if they are answered alike; there are {groups.count:,}"
        )
        return replace(unknown(line.name, line.rows, why), needed=needed)

    def count(self, condition: SliceCondition | None) -> int:
        """Return the number of rows in a slice; raises EvidenceError where there is none."""
        return int(self.index.mask(condition).sum())

    def foresee(self, choice: MetricChoice) -> Foreseen:
        """Tell what right answers and slices alone say.

        Raises EvidenceError where no row would ever count, UndecidedError where a known class has none.
        """
        seen = self.rows[self.index.mask(choice.slice)]
        if choice.is_of_classes:
            check_classes(choice, target_of(seen), self.classes.on(choice.slice))
        if choice.is_custom:
            return Foreseen(len(seen), unknown=f"it depends on how {choice.metric} varies between rows")
        match choice.metric:
            case "accuracy":
                return Foreseen(len(seen), len(seen))
            case "mean_score":
                return Foreseen(len(seen), unknown="it depends on how far the scores of the two models part")
            case "mae" | "rmse":
                return Foreseen(len(seen), unknown="it depends on how far the errors of the two models part")
            case "balanced_accuracy" | "macro_f1":
                return _of_all_classes(choice, seen)
        return _of_one_class(choice, seen)

    def non_inferiority(self, name: str, choice: MetricChoice, margin: float, confidence: float) -> PlanLine:
        """Return the line of a paired test: the rows on which two equal models pass it in 4 of 5 cases."""
        seen = self.foresee(choice)
        if margin == 0:
            return PlanLine(name, seen.rows, None, _NEVER)
        if seen.worth is None or seen.rows is None:
            return unknown(name, seen.rows, seen.unknown)
        of_accuracy = rows_needed(self.discordance, margin, confidence, POWER)
        needed = None if of_accuracy is None else math.ceil(of_accuracy * seen.rows / seen.worth)
        return answer(name, seen.rows, needed)

    def share_at_least(self, name: str, choice: MetricChoice, least: float | None, confidence: float) -> PlanLine:
        """Return the line of a lower bound: what the candidate reaches is not known, what a flawless one needs is."""
        seen = self.foresee(choice)
        if choice.metric not in ("accuracy", "recall") or seen.rows is None:
            return unknown(name, seen.rows, seen.unknown or "it depends on what the candidate reaches")
        fewest = rows_without_a_miss(float(least or 0), confidence)
        if fewest is None:
            return PlanLine(name, seen.rows, None, "no: not even a flawless candidate shows it")
        if seen.rows < fewest:
            return PlanLine(name, seen.rows, fewest, f"no: {fewest - seen.rows:,} rows more, even without a mistake")
        return unknown(name, seen.rows, f"it depends on what the candidate reaches; {fewest:,} do without a mistake")


def answer(name: str, n: int, needed: int | None) -> PlanLine:
    """Return the line of a gate that needs a known number of rows; None: no number shows it."""
    if needed is None:
        return PlanLine(name, n, None, _NEVER)
    return PlanLine(name, n, needed, "yes" if n >= needed else f"no: {needed - n:,} rows more, or a wider margin")


def unknown(name: str, n: int | None, why: str) -> PlanLine:
    """Return the line of a gate whose number of rows depends on the models' answers."""
    return PlanLine(name, n, None, f"not known before: {why}")


def not_of_rows(name: str) -> PlanLine:
    """Return the line of a gate that numbers of rows do not decide."""
    return PlanLine(name, None, None, "not a matter of rows")


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
        raise EvidenceError(f"No row is truly of class {choice.of!r}.", "Correct `of` in the recipe.")
    return truly
