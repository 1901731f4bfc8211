"""Metrics of numbers: errors and rankings."""

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from quality_gates.errors import EvidenceError
from quality_gates.evidence import RowGroups, check_numbers
from quality_gates.policy import MetricChoice, probability_column
from quality_gates.statistics.bootstrap import (
    SIDES,
    BootstrapMetric,
    Figure,
    Floats,
    GroupedRows,
    SummedRows,
    as_pair,
    canonical,
)
from quality_gates.statistics.class_metrics import is_class, target_of

Truths: TypeAlias = npt.NDArray[np.bool_]


def error_metric(metric: str, rows: pd.DataFrame, groups: RowGroups | None = None) -> BootstrapMetric:
    """Prepare mae or rmse of paired rows."""
    errors = np.stack([abs(rows[f"{side}_score"].to_numpy(dtype=float)) for side in SIDES], axis=1)
    differences = errors[:, 0] - errors[:, 1]
    widest = errors[int(np.lexsort((errors[:, 0], errors[:, 1], abs(differences)))[-1])]
    if differences.any():
        worse, better = float(widest.max()), float(widest.min())
    else:  # nothing tells how far the models may part: as far as the largest error
        worse, better = 2 * float(errors.max()), float(errors.max())

    figures, units = mean_errors(metric), error_units(errors[:, 0], errors[:, 1])
    against, towards = (
        error_units(np.array([ours]), np.array([theirs])).total[0]
        for ours, theirs in ((worse, better), (better, worse))
    )
    values = as_pair(figures(units.total)[0])
    grouped = each_in_its_group(error_sums(errors[:, 0], errors[:, 1]), groups)
    return BootstrapMetric(len(rows), values, -1, figures, units, against, towards, grouped)


def score_metric(rows: pd.DataFrame, groups: RowGroups | None = None) -> BootstrapMetric:
    """Prepare the mean of the scores of paired rows, of which a higher one is better."""
    scores = np.stack([rows[f"{side}_score"].to_numpy(dtype=float) for side in SIDES], axis=1)
    differences = scores[:, 0] - scores[:, 1]
    widest = scores[int(np.lexsort((scores[:, 0], scores[:, 1], abs(differences)))[-1])]
    better, worse = float(widest.max()), float(widest.min())
    if not differences.any():  # nothing tells how far the models may part: as far as the largest score or error
        better = float(scores.max())
        worse = better - float(abs(scores).max())
    figures, units = mean_errors("mae"), _rows(_score_sums(canonical(scores)))
    against, towards = (_score_sums(np.array([pair]))[0] for pair in ((worse, better), (better, worse)))
    grouped = each_in_its_group(_score_sums(scores), groups)
    return BootstrapMetric(len(rows), as_pair(figures(units.total)[0]), 1, figures, units, against, towards, grouped)


def _score_sums(scores: Floats) -> Floats:
    """The columns 1 and both models' scores (rows, 2), of which mean_errors() makes their means."""
    return np.column_stack([np.ones(len(scores)), scores])


def ranking_metric(choice: MetricChoice, rows: pd.DataFrame, groups: RowGroups | None = None) -> BootstrapMetric:
    """Prepare AUROC of paired rows; raises EvidenceError where they lack what it needs."""
    target, remedy = target_of(rows), "Let Workload.probabilities return a column for the class."
    positive = np.array([is_class(value, choice.of) for value in target], dtype=bool)
    if positive.all() or not positive.any():
        which = "every row is" if positive.all() else "no row is"
        raise EvidenceError(f"AUROC needs rows of class {choice.of!r} and others; {which} of it.", "Correct `of`.")
    scores = [numbers_of(rows, f"{side}_{probability_column(choice.of)}", -np.inf, np.inf, remedy) for side in SIDES]

    center = np.array([auroc(positive, score) for score in scores])
    units, lowest = ranking_units(positive, *scores), np.array([1.0, 0, 1, 0, 0, 0])  # a positive row, so ranked
    highest = np.array([1.0, 1, 0, 0, 0, 0])
    grouped = each_in_its_group(ranking_sums(positive, *scores), groups)
    return BootstrapMetric(len(rows), as_pair(center), 1, linearized_areas(center), units, lowest, highest, grouped)


def each_in_its_group(sums: Floats, groups: RowGroups | None) -> GroupedRows | None:
    """Return rows with their sums (rows, columns) in their groups; None where rows are independent."""
    return None if groups is None else GroupedRows(sums, np.arange(len(sums)), groups)


def error_units(candidate: Floats, reference: Floats) -> SummedRows:
    """Rows with both models' errors: columns 1, |error| and squared error of either."""
    values = canonical(np.stack([candidate, reference], axis=1))
    return _rows(error_sums(values[:, 0], values[:, 1]))


def error_sums(candidate: Floats, reference: Floats) -> Floats:
    """The columns of `error_units`, in the order of the rows."""
    values = np.stack([candidate, reference], axis=1)
    return np.column_stack([np.ones(len(values)), abs(values), values**2])


def mean_errors(name: str) -> Figure:
    """Return mae or rmse of (candidate, reference), from sums (draws, 5) to (draws, 2)."""

    def figures(sums: Floats) -> Floats:
        if name == "rmse":
            return np.sqrt(np.maximum(0, sums[:, 3:5] / sums[:, :1]))
        return sums[:, 1:3] / sums[:, :1]

    return figures


def auroc(positive: Truths, score: Floats) -> float:
    """Area under the receiver operating characteristic: how often a positive row outranks a negative one."""
    placed = placements(positive, score)[positive]
    return math.fsum(placed) / len(placed)  # exact, so that it does not depend on the order of the rows


def placements(positive: Truths, score: Floats) -> Floats:
    """For each row the share of rows of the other kind that it ranks rightly against, ties counting half.

    Source: DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the areas under two or more correlated receiver operating
    characteristic curves: a nonparametric approach. Biometrics 1988;44:837-845.
    """
    placed = np.empty(len(score))
    for kind in (positive, ~positive):
        others = np.sort(score[~kind])
        below, upto = np.searchsorted(others, score[kind], "left"), np.searchsorted(others, score[kind], "right")
        share = (below + upto) / (2 * max(len(others), 1))
        placed[kind] = share if kind is positive else 1 - share
    return placed


def ranking_units(positive: Truths, candidate: Floats, reference: Floats) -> SummedRows:
    """Rows with their placements under both models: columns (positive, placed by candidate, by reference) x 2 kinds.

    The area is the mean placement of either kind; a bootstrap of the placements is DeLong's linearization of the area.
    """
    values = canonical(np.column_stack([positive, candidate, reference]))
    return _rows(ranking_sums(values[:, 0].astype(bool), values[:, 1], values[:, 2]))


def ranking_sums(positive: Truths, candidate: Floats, reference: Floats) -> Floats:
    """The columns of `ranking_units`, in the order of the rows."""
    placed = [placements(positive, score) for score in (candidate, reference)]
    halves = [np.column_stack([of, *(np.where(of, place, 0) for place in placed)]) for of in (positive, ~positive)]
    return np.column_stack(halves).astype(float)


def areas(sums: Floats) -> Floats:
    """Return AUROC of (candidate, reference), from sums (draws, 6) to (draws, 2): the two kinds' means together."""
    positives, negatives = np.maximum(sums[:, :1], 1), np.maximum(sums[:, 3:4], 1)
    return sums[:, 1:3] / positives + sums[:, 4:6] / negatives


def linearized_areas(center: Floats) -> Figure:
    """Return AUROC of both models around their values `center` (2,): each kind's mean placement moves it alone."""

    def figures(sums: Floats) -> Floats:
        return areas(sums) - center

    return figures


def _rows(sums: Floats) -> SummedRows:
    return SummedRows(np.ones(len(sums), dtype=np.int64), sums)


def numbers_of(rows: pd.DataFrame, column: str, lowest: float, highest: float, remedy: str) -> Floats:
    """Return a column of paired rows; raises EvidenceError where it is missing or has numbers beyond the bounds."""
    if column not in rows.columns:
        raise EvidenceError(f"The measured rows have no {column.replace('_', ' ', 1)}.", remedy)
    check_numbers(rows[column], f"the values of {column.replace('_', ' ', 1)}", lowest, highest)
    return rows[column].to_numpy(dtype=float)
