"""Suggestions for a recipe from the rows and the answers of the registered model: margins, floors, a critical slice.

The arithmetic is that of `edgewright gates plan`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from deployments.answers import AnsweredRows
from deployments.errors import ConfigurationError
from deployments.workload import Split, Workload
from quality_gates.statistics import POWER, rows_needed, share_bounds

CONFIDENCE = 0.95
DISCORDANCE = 0.05
"""Share of rows on which only one of two equal models is right, as `gates plan` assumes it."""
SLICE_DISCORDANCE = 0.1
"""The same on a critical slice, where models are less sure."""
MARGINS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25)
WIDEST = MARGINS[-1]
MOST_VALUES = 30
"""Values of a column above which it is no way to slice, but a number or a name."""
PARTING = 0.5
"""Standard deviation of the differences of two equal models' scores, in standard deviations of the scores of rows."""
ERROR_MARGIN, ERROR_FLOOR = 0.1, 1.25
"""Shares of the parent's own error: by how much it may grow, and up to where it is of use."""


@dataclass(frozen=True)
class SuggestedGates:
    """A margin and a floor that gates on some rows could hold.

    `value` is what the parent reaches on validation. `column` and `equals` are None for all rows; `margin` is None
    where the test rows are too few for any.
    """

    column: str | None
    equals: str | int | float | bool | None
    value: float
    rows: int
    margin: float | None
    floor: float | None
    needed: int

    @property
    def slice_said(self) -> str:
        """The rows in words."""
        return "all rows" if self.column is None else f"{self.column} = {self.equals}"


_Gates = Callable[[str | None, object, np.ndarray, int, float], SuggestedGates]
"""Takes a slice, the scores of its validation rows, the number of its test rows and a discordance."""


@dataclass(frozen=True)
class Suggestions:
    """The metric that fits, the gates on all rows, and those on critical slices."""

    metric: str
    whole: SuggestedGates
    critical: tuple[SuggestedGates, ...]
    guess: float | None

    @property
    def looks_wrong(self) -> bool:
        """True where the model is hardly better than one answer for all rows: rows are prepared in another way."""
        return self.guess is not None and self.whole.value < self.guess + (1 - self.guess) / 10


def suggest(
    workload: Workload, validation: Split, test: Split, answers: AnsweredRows, critical: Sequence[str]
) -> Suggestions:
    """Suggest gates by what the registered model answers on validation and by the number of test rows.

    `critical` are slices as `column=value` that a person named; without any, the slice that is answered worst among
    those that the test rows can decide. Raises ConfigurationError for scores of the workload's own that are neither
    shares nor errors, and for a slice that has no rows.
    """
    scores = answers.scores.astype(float)
    if workload.scores_are_errors:
        return Suggestions("mae", _of_errors(scores, len(test)), (), None)
    metric = _metric(workload)
    if metric == "accuracy" and not np.isin(scores, (0, 1)).all():
        raise ConfigurationError(
            f"expected scores of 0 and 1 or of errors, for which gates can be suggested, got a workload of the task "
            f'"{workload.task}" with others; write the recipe yourself, from docs/tutorial.md, with a custom metric'
        )
    of = _of_means if metric == "mean_score" else _of_shares
    whole = of(None, None, scores, len(test), DISCORDANCE)
    named = tuple(_named(each, validation, test, scores, of) for each in critical)
    return Suggestions(metric, whole, named or _worst(validation, test, scores, of), _guess(workload, validation))


def _metric(workload: Workload) -> str:
    """Return the metric of scores that are no errors: mean_score where the task's are neither 0 and 1."""
    fitting = workload.meaning.fitting_metrics or ()
    return "mean_score" if "score" not in workload.written and "mean_score" in fitting else "accuracy"


def margin_for(rows: int, discordance: float) -> float | None:
    """Return the smallest usual margin that two equal models pass in 4 of 5 cases on so many rows; None for none."""
    for margin in MARGINS:
        needed = rows_needed(discordance, margin, CONFIDENCE, POWER)
        if needed is not None and needed <= rows:
            return margin
    return None


def _of_shares(column: str | None, equals: object, scores: np.ndarray, rows: int, discordance: float) -> SuggestedGates:
    value, margin = float(scores.mean()), margin_for(rows, discordance)
    needed = rows_needed(discordance, WIDEST, CONFIDENCE, POWER) or 0
    floor = None if margin is None else _floor(value - margin, rows)
    return SuggestedGates(column, equals, value, rows, margin, floor, needed)  # type: ignore[arg-type]


def _of_means(column: str | None, equals: object, scores: np.ndarray, rows: int, _: float) -> SuggestedGates:
    """Return gates on a mean of scores, by the normal approximation of its bounds."""
    value, spread = float(scores.mean()), float(scores.std())
    bound, passed = NormalDist().inv_cdf(CONFIDENCE), NormalDist().inv_cdf(POWER)
    widths = (bound + passed) * PARTING * spread
    margin = next((each for each in MARGINS if rows and widths <= each * math.sqrt(rows)), None)
    least = 0.0 if margin is None else value - margin - bound * spread / math.sqrt(rows)
    floor = math.floor(least * 20) / 20
    needed = math.ceil((widths / WIDEST) ** 2)
    return SuggestedGates(column, equals, value, rows, margin, floor if floor > 0 else None, needed)  # type: ignore[arg-type]


def _floor(share: float, rows: int) -> float | None:
    """Return the highest floor in steps of 5 points that a model of this share holds on so many rows."""
    lower = share_bounds(max(math.floor(share * rows), 0), rows, CONFIDENCE)[0]
    floor = math.floor(lower * 20) / 20
    return floor if floor > 0 else None


def _of_errors(scores: np.ndarray, rows: int) -> SuggestedGates:
    error = float(-scores.mean())
    return SuggestedGates(
        None, None, error, rows, _two_digits(error * ERROR_MARGIN), _two_digits(error * ERROR_FLOOR), 0
    )


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def _worst(validation: Split, test: Split, scores: np.ndarray, of: _Gates) -> tuple[SuggestedGates, ...]:
    """Return the slice with the lowest score among those that the test rows can decide; none for a single value."""
    found = []
    for column in validation.slices.columns:
        values = validation.slices[column].unique()
        if 1 < len(values) <= MOST_VALUES and validation.slices[column].dtype.kind in "biuOU":
            found += [_slice(column, value, validation, test, scores, of) for value in values]
    fitting = [each for each in found if each.margin is not None and each.floor is not None and each.rows]
    return (min(fitting, key=lambda each: (each.value, str(each.equals))),) if fitting else ()


def _slice(
    column: str, value: object, validation: Split, test: Split, scores: np.ndarray, of: _Gates
) -> SuggestedGates:
    mask = (validation.slices[column] == value).to_numpy()
    rows = int((test.slices[column] == value).sum())
    plain = value.item() if isinstance(value, np.generic) else value
    return of(column, plain, scores[mask], rows, SLICE_DISCORDANCE)


def _named(condition: str, validation: Split, test: Split, scores: np.ndarray, of: _Gates) -> SuggestedGates:
    column, separator, text = condition.partition("=")
    known = validation.slices.get(column)
    values = [] if known is None else [value for value in known.unique() if str(value) == text]
    if not separator or not values:
        columns = ", ".join(map(str, validation.slices.columns)) or "none"
        got = f"{condition!r}, of which validation has no row" if separator and known is not None else repr(condition)
        raise ConfigurationError(
            f"--critical: expected COLUMN=VALUE of a slice column ({columns}), got {got}; correct it"
        )
    return _slice(column, values[0], validation, test, scores, of)


def _guess(workload: Workload, validation: Split) -> float | None:
    """Return the share of the most frequent right answer: what one answer for all rows reaches."""
    right = workload.right_answers(validation.targets)
    return None if right is None else float(pd.Series(np.asarray(right)).value_counts(normalize=True).iloc[0])
