"""A metric of two models with bounds from the bootstrap, for what is no simple share of rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from quality_gates.errors import EvidenceError
from quality_gates.evidence import check_numbers
from quality_gates.policy import ERRORS, MetricChoice, probability_column
from quality_gates.statistics import counted, valued
from quality_gates.statistics.bootstrap import Figure, Floats, Units, lower_bound, spread
from quality_gates.statistics.counted import ClassTable

SIDES = ("candidate", "reference")


@dataclass(frozen=True)
class Resampled:
    """A metric's `values` for (candidate, reference) on `n` rows, and what its bounds are drawn from.

    `figures` gives both models' values of many samples. Few rows that all agree would make a bootstrap sure of what it
    never saw, so the lower bounds are drawn with `against`, the sums of one row more that speaks against the candidate
    as loudly as a row can, and the upper ones with `towards`, of one that speaks for it.
    """

    n: int
    values: tuple[float, float]
    sign: int
    figures: Figure
    units: Units
    against: Floats
    towards: Floats

    def gain_bounds(self, confidence: float) -> tuple[float, float]:
        """Return one-sided bounds of the candidate's gain, positive where it is better."""
        return self._bounds(self._gain, confidence)

    def own_bounds(self, confidence: float) -> tuple[float, float]:
        """Return one-sided bounds of the candidate's value."""
        low, high = self._bounds(lambda sums: self.sign * self.figures(sums)[:, 0], confidence)
        return (low, high) if self.sign > 0 else (-high, -low)

    def gain_spread(self) -> float:
        """Return the standard error of the gain."""
        return spread(self.units, self.against, self._gain)

    def _gain(self, sums: Floats) -> Floats:
        both = self.figures(sums)
        return self.sign * (both[:, 0] - both[:, 1])

    def _bounds(self, figure: Figure, confidence: float) -> tuple[float, float]:
        low = lower_bound(self.units, self.against, figure, confidence)
        return low, -lower_bound(self.units, self.towards, lambda sums: -figure(sums), confidence)


def resampled(choice: MetricChoice, rows: pd.DataFrame) -> Resampled:
    """Prepare a metric of paired rows; raises EvidenceError where they lack what it needs."""
    if choice.metric in ERRORS:
        return _errors(choice.metric, rows)
    if choice.metric == "auroc":
        return _ranking(choice, rows)
    return _classes(choice, rows)


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


def calibration(bins: int, rows: pd.DataFrame) -> Resampled:
    """Prepare the expected calibration error of paired rows; raises EvidenceError without confidences."""
    sides = []
    for side in SIDES:
        confidence = _numbers(rows, f"{side}_confidence", 0, 1, "Let Workload.probabilities return them.")
        sides.append(np.column_stack([confidence, rows[f"{side}_score"].to_numpy(dtype=float)]))
    surest = max(float(side[:, 0].max()) for side in sides)
    wrong, right = np.array([[surest, 0.0]]), np.array([[surest, 1.0]])
    figures, units = valued.calibration_errors(bins), valued.calibration_units(bins, *sides)
    against, towards = (valued.calibration_units(bins, *row).total[0] for row in ((wrong, right), (right, wrong)))
    return Resampled(len(rows), _pair(figures(units.total)[0]), -1, figures, units, against, towards)


def _classes(choice: MetricChoice, rows: pd.DataFrame) -> Resampled:
    table = ClassTable.of(target_of(rows), rows["candidate_prediction"], rows["reference_prediction"])
    code, size = None if choice.of is None else table.code(choice.of), len(table.classes)
    figures = counted.metric_of(choice.metric, code, size)
    gain = counted.gain_of(choice.metric, code, size)
    units = table.units()
    values = figures(units.total)[0]
    others = [place for place in {code or 0, 0, size - 1} if place is not None]
    wrongs = [(truth, answer) for truth in range(size) for answer in others if answer != truth]
    against = _extreme(table, units, gain, [(truth, answer, truth) for truth, answer in wrongs], np.argmin)
    towards = _extreme(table, units, gain, [(truth, truth, answer) for truth, answer in wrongs], np.argmax)
    return Resampled(len(rows), _pair(values), 1, figures, units, against, towards)


def _extreme(
    table: ClassTable,
    units: Units,
    gain: Figure,
    cells: list[tuple[int, int, int]],
    pick: Callable[[Floats], np.intp],
) -> Floats:
    """Return the sums of the one row that moves the gain most."""
    if not cells:  # a single class leaves nothing to be wrong about
        return np.zeros(units.total.shape[1])
    alone = ClassTable(table.classes, np.array(cells), np.ones(len(cells), dtype=np.int64)).units().dense
    return alone[int(pick(gain(units.total + alone)))]


def _errors(metric: str, rows: pd.DataFrame) -> Resampled:
    errors = np.stack([abs(rows[f"{side}_score"].to_numpy(dtype=float)) for side in SIDES], axis=1)
    differences = errors[:, 0] - errors[:, 1]
    widest = errors[int(np.lexsort((errors[:, 0], errors[:, 1], abs(differences)))[-1])]
    if differences.any():
        worse, better = float(widest.max()), float(widest.min())
    else:  # nothing tells how far the models may part: as far as the largest error
        worse, better = 2 * float(errors.max()), float(errors.max())

    figures, units = valued.mean_errors(metric), valued.error_units(errors[:, 0], errors[:, 1])
    against, towards = (
        valued.error_units(np.array([ours]), np.array([theirs])).total[0]
        for ours, theirs in ((worse, better), (better, worse))
    )
    return Resampled(len(rows), _pair(figures(units.total)[0]), -1, figures, units, against, towards)


def _ranking(choice: MetricChoice, rows: pd.DataFrame) -> Resampled:
    target, remedy = target_of(rows), "Let Workload.probabilities return a column for the class."
    positive = np.array([is_class(value, choice.of) for value in target], dtype=bool)
    if positive.all() or not positive.any():
        which = "every row is" if positive.all() else "no row is"
        raise EvidenceError(f"AUROC needs rows of class {choice.of!r} and others; {which} of it.", "Correct `of`.")
    scores = [_numbers(rows, f"{side}_{probability_column(choice.of)}", -np.inf, np.inf, remedy) for side in SIDES]

    center = np.array([valued.auroc(positive, score) for score in scores])
    units, lowest = valued.ranking_units(positive, *scores), np.array([1.0, 0, 1, 0, 0, 0])  # a positive row, so ranked
    highest = np.array([1.0, 1, 0, 0, 0, 0])
    return Resampled(len(rows), _pair(center), 1, valued.linearized_areas(center), units, lowest, highest)


def _numbers(rows: pd.DataFrame, column: str, lowest: float, highest: float, remedy: str) -> Floats:
    if column not in rows.columns:
        raise EvidenceError(f"The measured rows have no {column.replace('_', ' ', 1)}.", remedy)
    check_numbers(rows[column], f"the values of {column.replace('_', ' ', 1)}", lowest, highest)
    return rows[column].to_numpy(dtype=float)


def is_class(value: object, of: object) -> bool:
    """Whether a right answer is the class that a policy names: 1 is not true."""
    return bool(value == of) and isinstance(value, bool | np.bool_) == isinstance(of, bool)


def _pair(values: Floats) -> tuple[float, float]:
    return float(values[0]), float(values[1])
