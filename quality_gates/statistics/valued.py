"""Metrics of numbers: errors, rankings, and how far confidences are from the truth."""

import math

import numpy as np
import numpy.typing as npt

from quality_gates.statistics.bootstrap import Figure, Floats, Units

Truths = npt.NDArray[np.bool_]


def canonical(values: Floats) -> Floats:
    """Sort rows (rows, columns), so that nothing that follows depends on their order."""
    return values[np.lexsort(values.T[::-1])]


def error_units(candidate: Floats, reference: Floats) -> Units:
    """Rows with both models' errors: columns 1, |error| and squared error of either."""
    values = canonical(np.stack([candidate, reference], axis=1))
    return _rows(np.column_stack([np.ones(len(values)), abs(values), values**2]))


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


def ranking_units(positive: Truths, candidate: Floats, reference: Floats) -> Units:
    """Rows with their placements under both models: columns (positive, placed by candidate, by reference) x 2 kinds.

    The area is the mean placement of either kind; resampling the placements is DeLong's linearization of the area.
    """
    values = canonical(np.column_stack([positive, candidate, reference]))
    kind = values[:, 0].astype(bool)
    placed = [placements(kind, values[:, column]) for column in (1, 2)]
    halves = [np.column_stack([of, *(np.where(of, place, 0) for place in placed)]) for of in (kind, ~kind)]
    return _rows(np.column_stack(halves).astype(float))


def areas(sums: Floats) -> Floats:
    """Return AUROC of (candidate, reference), from sums (draws, 6) to (draws, 2): the two kinds' means together."""
    positives, negatives = np.maximum(sums[:, :1], 1), np.maximum(sums[:, 3:4], 1)
    return sums[:, 1:3] / positives + sums[:, 4:6] / negatives


def linearized_areas(center: Floats) -> Figure:
    """Return AUROC of both models around their values `center` (2,): each kind's mean placement moves it alone."""

    def figures(sums: Floats) -> Floats:
        return areas(sums) - center

    return figures


def calibration_units(bins: int, candidate: Floats, reference: Floats) -> Units:
    """Rows (rows, 2) of confidence and score of both models: columns 1, then confidence - score in each bin x 2."""
    values = canonical(np.column_stack([candidate, reference]))
    sums = np.zeros((len(values), 1 + 2 * bins))
    sums[:, 0] = 1
    for model in range(2):
        confidence, score = values[:, 2 * model], values[:, 2 * model + 1]
        place = np.minimum((confidence * bins).astype(int), bins - 1)
        sums[np.arange(len(values)), 1 + model * bins + place] = confidence - score
    return _rows(sums)


def calibration_errors(bins: int) -> Figure:
    """Return the expected calibration error of both models, from sums (draws, 1 + 2 x bins) to (draws, 2).

    Source: Naeini MP, Cooper GF, Hauskrecht M. Obtaining well calibrated probabilities using Bayesian binning. AAAI
    2015. On few rows it is biased upward, for noise does not cancel within its absolute values.
    """

    def figures(sums: Floats) -> Floats:
        off = abs(sums[:, 1:].reshape(len(sums), 2, bins)).sum(axis=2)
        return off / sums[:, :1]

    return figures


def _rows(sums: Floats) -> Units:
    return Units(np.ones(len(sums), dtype=np.int64), sums)
