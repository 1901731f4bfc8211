"""Proper scores of probabilities, one number per row, and the calibration error that is shown beside them.

A proper score is best, in the mean, for the true probabilities, so that its paired mean is a fair measure of how far
they can be believed. It also falls with every answer that gets better: it measures both at once.
"""

from bisect import bisect_left
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from quality_gates.evidence import RowGroups, check_numbers
from quality_gates.policy import LEAST_PROBABILITY, WORST_SCORES, ProperScore
from quality_gates.statistics.bootstrap import SIDES, BootstrapMetric, Floats, SummedRows, as_pair, lower_bound
from quality_gates.statistics.proportions import MOST_ROWS
from quality_gates.statistics.value_metrics import (
    each_in_its_group,
    error_sums,
    error_units,
    mean_errors,
    numbers_of,
)

BINS = 10
FEWEST = 10 * BINS  # rows, below which a calibration error is all noise
_REMEDY = "Let Workload.probabilities return one column for each class, and Workload.right_answers the right ones."


def row_scores(probabilities: Floats, right: npt.NDArray[np.intp]) -> dict[ProperScore, Floats]:
    """Return the Brier score and the log-loss of each row from probabilities (rows, classes).

    `right` (rows,) is the column of the right answer, -1 where no column is of it: its probability is 0. The Brier
    score is the sum of squares over all classes, from 0 to 2 (Brier GW. Verification of forecasts expressed in terms of
    probability. Monthly Weather Review 1950;78:1-3). The log-loss takes no probability for less than 1e-4.
    """
    given = np.where(right >= 0, probabilities[np.arange(len(right)), right], 0.0)
    brier = np.maximum((probabilities**2).sum(axis=1) - 2 * given + 1, 0)
    return {"brier": brier, "log_loss": -np.log(np.clip(given, LEAST_PROBABILITY, 1))}


def score_metric(score: ProperScore, rows: pd.DataFrame, groups: RowGroups | None = None) -> BootstrapMetric:
    """Prepare the mean of a proper score of paired rows; raises EvidenceError where they lack it.

    The extra row of its bounds is the largest difference that two rows can have, for a score is bounded.
    """
    worst = WORST_SCORES[score]
    ours, theirs = (numbers_of(rows, f"{side}_{score}", 0, worst + 1e-6, _REMEDY) for side in SIDES)
    figures, units = mean_errors("mae"), error_units(ours, theirs)
    against, towards = (error_units(np.array([high]), np.array([worst - high])).total[0] for high in (worst, 0.0))
    values, grouped = as_pair(figures(units.total)[0]), each_in_its_group(error_sums(ours, theirs), groups)
    return BootstrapMetric(len(rows), values, -1, figures, units, against, towards, grouped)


@lru_cache(maxsize=256)
def rows_without_a_difference(score: ProperScore, margin: float, confidence: float) -> int | None:
    """Return the fewest rows on which the probabilities of the reference itself would pass; None for no number."""
    loudest = error_units(np.array([WORST_SCORES[score]]), np.zeros(1)).total[0]

    def passes(n: int) -> bool:
        alike = SummedRows(np.array([n]), error_units(np.zeros(1), np.zeros(1)).sums)
        return lower_bound(alike, loudest, lambda sums: -mean_errors("mae")(sums)[:, 0], confidence) >= -margin

    return bisect_left(range(MOST_ROWS), True, lo=1, key=passes) if margin > 0 and passes(MOST_ROWS) else None


def calibration_error(confidence: Floats, right: Floats) -> float:
    """Return the debiased calibration error of answers, from their confidences (rows,) and whether they are right.

    The root mean square of the distance between confidence and accuracy over 10 bins of equally many rows, less what
    chance alone would add: Kumar A, Liang P, Ma T. Verified uncertainty calibration. NeurIPS 2019. Unlike the plug-in
    error it is not larger on few rows, but it is an estimate without a bound: it is shown, and no gate holds it.
    """
    edges = np.unique(np.quantile(confidence, np.arange(1, BINS) / BINS))
    place = np.searchsorted(edges, confidence, side="right")
    rows = np.bincount(place, minlength=len(edges) + 1)
    seen = np.maximum(rows, 1)
    accuracy, believed = (np.bincount(place, values, len(rows)) / seen for values in (right, confidence))
    noise = accuracy * (1 - accuracy) / np.maximum(rows - 1, 1)
    square = float(rows @ ((believed - accuracy) ** 2 - noise)) / len(confidence)
    return float(np.sqrt(max(square, 0.0)))


def calibration_errors(rows: pd.DataFrame) -> tuple[float, float] | None:
    """Return the calibration errors of candidate and reference; None without confidences, or on too few rows."""
    needed = [f"{side}_{column}" for side in SIDES for column in ("confidence", "score")]
    if len(rows) < FEWEST or not set(needed) <= set(rows.columns):
        return None
    for side in SIDES:
        check_numbers(rows[f"{side}_confidence"], f"the {side}'s confidences", 0, 1)
    if not rows[[f"{side}_score" for side in SIDES]].isin([0, 1]).to_numpy().all():
        return None
    ours, theirs = (
        calibration_error(rows[f"{side}_confidence"].to_numpy(dtype=float), rows[f"{side}_score"].to_numpy(dtype=float))
        for side in SIDES
    )
    return ours, theirs
