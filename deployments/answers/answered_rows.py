"""A workload's answers to rows, checked: one prediction and one score for each, and nothing made of broken numbers."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, TypeVar

import numpy as np
import pandas as pd

from deployments.answers.task_kind import Labels, PredictionTask, TaskName
from deployments.errors import ConfigurationError
from deployments.mapped import answered_at_once, parts_of
from deployments.user_calls import call_user_code

NOT_A_NUMBER = "not a number"
"""The prediction for a row whose output has NaN or infinite values."""
_REMEDY = "correct Workload.predictions and Workload.score"
logger = logging.getLogger("edgewright")
Found = TypeVar("Found")


class AnsweringWorkload(Protocol):
    """A workload's functions of outputs."""

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        """Return the answer to each row."""

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the score of each row."""

    def probabilities(self, outputs: np.ndarray) -> pd.DataFrame | None:
        """Return the probability of each class for each row, or None."""

    def right_answers(self, targets: np.ndarray) -> np.ndarray | None:
        """Return the right answer to each row, or None."""

    @property
    def task(self) -> TaskName:
        """The kind of outputs."""

    @property
    def labels(self) -> Labels:
        """Names of the classes, by number."""

    @property
    def meaning(self) -> PredictionTask:
        """The meaning of the outputs."""

    @property
    def written(self) -> frozenset[str]:
        """The names of the optional methods that the workload has of its own."""

    def asked(self, outputs: np.ndarray, targets: np.ndarray) -> Sequence["AskedRows"] | None:
        """Return the rows of each task, of a family whose rows ask one task each; else None."""


@dataclass(frozen=True, eq=False)
class AskedRows:
    """Rows that ask one task of a family: their numbers (rows,), and outputs and targets as the task's own model has.

    `workload` is that of the `task` alone.
    """

    task: str
    workload: AnsweringWorkload
    rows: np.ndarray
    outputs: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class AnsweredRows:
    """Predictions and scores, one per row, and a mask of the rows whose output has numbers alone.

    Any other row is wrong: its prediction is NOT_A_NUMBER. Its score is 0 where scores are 0 and 1, and NaN where no
    number means wrong, so that no gate passes on them.
    """

    predictions: np.ndarray
    scores: np.ndarray
    finite: np.ndarray

    @property
    def mean_score(self) -> float:
        """The mean score; minus infinity where a score is no number, so that whatever else is better."""
        return float(self.scores.mean()) if np.isfinite(self.scores).all() else -np.inf


def answers_of(workload: AnsweringWorkload, outputs: np.ndarray, targets: np.ndarray) -> AnsweredRows:
    """Let a workload answer and score rows, a part of them at a time where their outputs are many bytes.

    Each row of a family is answered by its own task.

    Raises:
        ConfigurationError: it does not give one prediction and one score for every row.
    """
    if (asked := workload.asked(outputs, targets)) is not None:
        own = [answers_of(each.workload, each.outputs, each.targets) for each in asked]
        return _together(len(targets), asked, own)
    return _of_parts(workload, answered_at_once(outputs), targets)


def answers_in_parts(workload: AnsweringWorkload, parts: Iterable[np.ndarray], targets: np.ndarray) -> AnsweredRows:
    """Let a workload answer and score rows whose outputs come part by part, in order; a family has them all at once.

    Raises:
        ConfigurationError: it does not give one prediction and one score for every row.
    """
    left = iter(parts)
    first = next(left)
    if workload.asked(first, targets[: len(first)]) is not None:
        return answers_of(workload, joined([first, *left]), targets)
    return _of_parts(workload, chain([first], left), targets)


def _of_parts(workload: AnsweringWorkload, parts: Iterable[np.ndarray], targets: np.ndarray) -> AnsweredRows:
    found, start = [], 0
    for outputs in parts:
        found.append(_answered(workload, outputs, targets[start : start + len(outputs)]))
        start += len(outputs)
    finite, predictions, scores = map(joined, zip(*found, strict=True))
    _check_each("prediction and score", finite, targets, workload)
    if finite.all():
        return AnsweredRows(predictions, scores, finite)
    logger.warning("%d of %d rows are answered with NaN or infinity; they count as wrong", (~finite).sum(), len(finite))
    return AnsweredRows(_not_numbers(predictions, finite), _wrong(scores.astype(float), finite), finite)


def _answered(
    workload: AnsweringWorkload, outputs: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mask of finite rows, and predictions and scores of all rows."""
    finite, filled = _filled(outputs)
    what = f"predictions and scores for outputs of shape {outputs.shape}"
    predictions = _called(workload, what, _REMEDY, lambda: workload.predictions(filled))
    scores = _called(workload, what, _REMEDY, lambda: workload.score(filled, targets))
    _check_each("prediction", predictions, targets, workload)
    _check_each("score", scores, targets, workload)
    return finite, np.asarray(predictions), np.asarray(scores)


def _check_each(name: str, values: np.ndarray, targets: np.ndarray, workload: AnsweringWorkload) -> None:
    if np.shape(values) != (len(targets),):
        raise ConfigurationError(
            f"workload `{reference_of(workload)}`: expected one {name} for each of {len(targets)} rows, got an "
            f"array of shape {np.shape(values)}; {_REMEDY}"
        )


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return arrays (rows, ...) in one; a single one as it is."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def asked_rows(workload: AnsweringWorkload, outputs: np.ndarray, targets: np.ndarray) -> Sequence[AskedRows]:
    """Return the rows of each task of a family; of one model all rows, whose task has no name."""
    asked = workload.asked(outputs, targets)
    return [AskedRows("", workload, np.arange(len(targets)), outputs, targets)] if asked is None else asked


def predictions_of(workload: AnsweringWorkload, outputs: np.ndarray) -> np.ndarray:
    """Return a workload's predictions, NOT_A_NUMBER for rows whose output has NaN or infinite values.

    Raises ConfigurationError where Workload.predictions fails.
    """
    return joined([_predicted(workload, part) for part in answered_at_once(outputs)])


def _predicted(workload: AnsweringWorkload, outputs: np.ndarray) -> np.ndarray:
    finite, filled = _filled(outputs)
    what = f"predictions for outputs of shape {outputs.shape}"
    called = _called(workload, what, "correct Workload.predictions", lambda: workload.predictions(filled))
    predictions = np.asarray(called)
    return predictions if finite.all() else _not_numbers(predictions, finite)


def labelled(
    workload: AnsweringWorkload, outputs: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray | None, pd.DataFrame | None]:
    """Return the right answers and the table of probabilities, where the workload has them.

    Rows whose output has NaN or infinite values have no probabilities.

    Raises:
        ConfigurationError: they do not fit the rows.
    """
    finite, filled = _filled(outputs)
    what = f"labels and probabilities for outputs of shape {outputs.shape}"
    remedy = "correct Workload.right_answers and Workload.probabilities"
    labels = _called(workload, what, remedy, lambda: workload.right_answers(targets))
    table = _called(workload, what, remedy, lambda: workload.probabilities(filled))
    for name, found in (("right_answers", labels), ("probabilities", table)):
        if found is not None and len(found) != len(targets):
            raise ConfigurationError(
                f"workload `{reference_of(workload)}`: expected {name} for each of {len(targets)} rows, got "
                f"{len(found)}; correct Workload.{name}"
            )
    if table is None or finite.all():
        return labels, table
    known = table.astype(float)
    known.iloc[~finite] = np.nan
    return labels, known


def _together(count: int, asked: Sequence[AskedRows], answered: Sequence[AnsweredRows]) -> AnsweredRows:
    """Return the answers to all rows of a family, each where its row is."""
    predictions, scores, finite = np.empty(count, dtype=object), np.zeros(count), np.zeros(count, dtype=bool)
    for each, own in zip(asked, answered, strict=True):
        predictions[each.rows] = own.predictions.tolist()
        scores[each.rows], finite[each.rows] = own.scores, own.finite
    return AnsweredRows(predictions, scores, finite)


def reference_of(workload: object) -> str:
    """Return a workload's name as recipes write it."""
    return f"{type(workload).__module__}:{type(workload).__qualname__}"


def finite_rows(outputs: np.ndarray) -> np.ndarray:
    """Return a mask of the rows without NaN and infinite values."""
    parts = (np.isfinite(part).reshape(len(part), -1).all(axis=1) for part in parts_of(outputs))
    return np.concatenate([np.zeros(0, dtype=bool), *parts])


def _filled(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mask of finite rows, and the outputs with a finite row in place of all others, zeros without one."""
    finite = finite_rows(outputs)
    if finite.all():
        return finite, outputs
    filled = outputs.copy()
    filled[~finite] = outputs[finite.argmax()] if finite.any() else 0
    return finite, filled


def _not_numbers(predictions: np.ndarray, finite: np.ndarray) -> np.ndarray:
    named = np.asarray(predictions).astype(object)
    named[~finite] = NOT_A_NUMBER
    return named


def _wrong(scores: np.ndarray, finite: np.ndarray) -> np.ndarray:
    kept = scores[finite]
    right_or_wrong = bool(((kept == 0) | (kept == 1)).all() and (kept == 1).any())  # 0 alone is an error of nothing too
    return np.where(finite, scores, 0.0 if right_or_wrong else np.nan)


def _called(workload: object, what: str, remedy: str, call: Callable[[], Found]) -> Found:
    return call_user_code(call, f"workload `{reference_of(workload)}`: expected {what}", remedy)
