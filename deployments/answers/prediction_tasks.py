"""Prediction tasks: the usual kinds of outputs, each with its answers, its score and the loss of its soft labels.

A workload names one as its `task`. What it does not write itself follows from there.
"""

from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

from deployments.answers.task_kind import (
    OF_CLASSES,
    VALUES_SHOWN,
    WHOLE,
    Labels,
    PredictionTask,
    TaskName,
    lie_from_0_to_1,
    named,
    per_row,
)
from deployments.errors import ConfigurationError
from model_compression.training import (
    SoftLabelLoss,
    are_probabilities,
    soft_binary_loss,
    soft_label_loss,
    soft_value_loss,
)

NO_LABEL = "none"
BETWEEN = "+"  # of the labels of one row
THE_USUAL = (
    'set the workload\'s `task` to "binary" (one logit), "multi_label" (a logit for each label), "regression" (values) '
    'or "segmentation" (masks), or write its `predictions` and `score`'
)


class Classification(PredictionTask):
    """One of several classes for each row: outputs (rows, classes), targets are class numbers (rows,)."""

    name: ClassVar[TaskName] = "classification"

    def predictions(self, outputs: np.ndarray, labels: Labels) -> np.ndarray:
        """Return the arg-max."""
        return named(np.asarray(outputs.reshape(len(outputs), -1).argmax(axis=1)), labels)

    def right_answers(self, targets: np.ndarray, labels: Labels) -> np.ndarray | None:
        """Return the targets, where there is one number per row."""
        return None if per_row(targets) != 1 else named(targets.reshape(-1), labels)

    def probabilities(self, outputs: np.ndarray, labels: Labels) -> pd.DataFrame | None:
        """Return the softmax of class scores (rows, classes); outputs that are probabilities stay what they are."""
        if outputs.ndim != 2 or outputs.shape[1] < 2:
            return None
        table = outputs if are_probabilities(outputs) else softmax(outputs.astype(float), axis=1)
        return pd.DataFrame(table, columns=None if labels is None else list(labels))

    def targets_wanted(self, targets: np.ndarray, labels: Labels) -> str | None:
        """Want one whole number from 0 for each row."""
        if targets.dtype.kind not in WHOLE or per_row(targets) != 1:
            return "class numbers (rows,) of whole numbers"
        last = np.inf if labels is None else len(labels) - 1
        if targets.min() < 0 or targets.max() > last:
            return "class numbers from 0" + ("" if labels is None else f" to {last}, one for each of the `labels`")
        return None

    def outputs_wanted(self, row: tuple[int, ...], targets: np.ndarray, labels: Labels) -> str | None:
        """Want two or more columns, a column for each class of the targets and for each label."""
        columns = int(np.prod(row))
        if columns < 2:
            return "class scores (rows, classes) of two or more classes"
        if labels is not None and columns != len(labels):
            return f"a column for each of the {len(labels)} `labels`"
        if per_row(targets) == 1 and targets.dtype.kind in WHOLE and targets.max() >= columns:
            return f"a column for each class, as the targets go up to {targets.max()}"
        return None

    def soft_labels(self, outputs: np.ndarray, targets: np.ndarray) -> SoftLabelLoss | None:
        """Return the softmax over the axis of classes, at each position by itself."""
        axis = _class_axis(outputs, targets)
        if axis is None:
            return None
        return partial(soft_label_loss, axis=axis, probabilities=are_probabilities(outputs, axis))


class Binary(Classification):
    """Yes or no for each row: outputs of one logit, (rows,) or (rows, 1), targets 0 and 1."""

    name = "binary"

    def predictions(self, outputs: np.ndarray, labels: Labels) -> np.ndarray:
        """Return 1 where the logit is above 0; the arg-max of two columns."""
        if per_row(outputs) == 2:
            return super().predictions(outputs, labels)
        return named((outputs.reshape(len(outputs), -1)[:, 0] > 0).astype(np.int64), labels)

    def right_answers(self, targets: np.ndarray, labels: Labels) -> np.ndarray | None:
        """Return the targets as 0 and 1."""
        return named(targets.reshape(len(targets), -1)[:, 0].astype(np.int64), labels)

    def probabilities(self, outputs: np.ndarray, labels: Labels) -> pd.DataFrame | None:
        """Return the probabilities of 0 and 1."""
        if per_row(outputs) == 2:
            return super().probabilities(outputs, labels)
        yes = expit(outputs.reshape(len(outputs), -1)[:, 0].astype(float))
        return pd.DataFrame({0: 1 - yes, 1: yes}).set_axis([0, 1] if labels is None else list(labels), axis=1)

    def targets_wanted(self, targets: np.ndarray, labels: Labels) -> str | None:
        """Want one 0 or 1 for each row."""
        if labels is not None and len(labels) != 2:
            return f"two `labels`, not {len(labels)}, for targets of 0 and 1"
        return None if per_row(targets) == 1 and _are_yes_or_no(targets) else "one 0 or 1 for each row"

    def outputs_wanted(self, row: tuple[int, ...], _targets: np.ndarray, _labels: Labels) -> str | None:
        """Want one logit, or two columns."""
        return None if int(np.prod(row)) in (1, 2) else "one logit for each row, (rows,) or (rows, 1), or two columns"

    def soft_labels(self, outputs: np.ndarray, targets: np.ndarray) -> SoftLabelLoss | None:
        """Return the sigmoid of the logit; the softmax of two columns."""
        if per_row(outputs) == 2:
            return super().soft_labels(outputs, targets.reshape(-1).astype(np.int64))
        return partial(soft_binary_loss, probabilities=lie_from_0_to_1(outputs)) if per_row(outputs) == 1 else None


class MultiLabel(PredictionTask):
    """Several labels, each there or not: outputs of a logit for each, (rows, labels), targets 0 and 1 of that shape.

    The prediction of a row is a text such as `a+c`, or `none`; a row is right where all of its labels are.
    """

    name = "multi_label"
    fitting_metrics = OF_CLASSES

    def predictions(self, outputs: np.ndarray, labels: Labels) -> np.ndarray:
        """Return the labels whose logit is above 0, as text."""
        return _joined(outputs.reshape(len(outputs), -1) > 0, labels)

    def right_answers(self, targets: np.ndarray, labels: Labels) -> np.ndarray | None:
        """Return the labels of each row, as text."""
        return _joined(targets.reshape(len(targets), -1) > 0, labels)

    def targets_wanted(self, targets: np.ndarray, labels: Labels) -> str | None:
        """Want 0 and 1 of shape (rows, labels)."""
        if targets.ndim != 2 or not _are_yes_or_no(targets):
            return "0 and 1 of shape (rows, labels)"
        if labels is not None and targets.shape[1] != len(labels):
            return f"a column for each of the {len(labels)} `labels`"
        return None

    def outputs_wanted(self, row: tuple[int, ...], targets: np.ndarray, _labels: Labels) -> str | None:
        """Want a logit for each target."""
        return None if row == targets.shape[1:] else f"a logit for each label, {per_row(targets)} in a row"

    def soft_labels(self, outputs: np.ndarray, _targets: np.ndarray) -> SoftLabelLoss | None:
        """Return the sigmoid of each logit by itself."""
        return partial(soft_binary_loss, probabilities=lie_from_0_to_1(outputs))


class Regression(PredictionTask):
    """Values: outputs and targets of one shape. The score is minus the mean absolute error of the row."""

    name: ClassVar[TaskName] = "regression"
    values = True
    best_score = 0
    right_or_wrong = False
    fitting_metrics: frozenset[str] | None = frozenset({"mae", "rmse"})

    def predictions(self, outputs: np.ndarray, _labels: Labels) -> np.ndarray:
        """Return the value; of several, a text with the first ones."""
        return _values(outputs)

    def right_answers(self, targets: np.ndarray, _labels: Labels) -> np.ndarray | None:
        """Return the target as a float where it is one value, else None."""
        return targets.reshape(-1).astype(float) if per_row(targets) == 1 else None

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return minus the mean absolute error of each row."""
        ours, truth = (each.reshape(len(each), -1).astype(float) for each in (outputs, targets))
        return np.asarray(-abs(ours - truth).mean(axis=1))

    def targets_wanted(self, _targets: np.ndarray, _labels: Labels) -> str | None:
        """Take any numbers."""
        return None

    def outputs_wanted(self, row: tuple[int, ...], targets: np.ndarray, _labels: Labels) -> str | None:
        """Want a value for each target; (rows,) and (rows, 1) are one shape."""
        if tuple(size for size in row if size != 1) == tuple(size for size in targets.shape[1:] if size != 1):
            return None
        return f"a value for each target, as (rows{''.join(f', {size}' for size in targets.shape[1:])})"

    def soft_labels(self, _outputs: np.ndarray, _targets: np.ndarray) -> SoftLabelLoss | None:
        """Return the squared error."""
        return soft_value_loss


class Embedding(Regression):
    """Vectors: outputs and targets of one shape (rows, size). The score is their cosine similarity."""

    name = "embedding"
    best_score = 1
    fitting_metrics = frozenset({"mean_score"})

    def right_answers(self, _targets: np.ndarray, _labels: Labels) -> np.ndarray | None:
        """Return None: no answer is the right one in words."""
        return None

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the cosine of the angle between output and target, 0 where one of them is zero."""
        ours, truth = (each.reshape(len(each), -1).astype(float) for each in (outputs, targets))
        lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(truth, axis=1)
        return np.asarray(np.divide((ours * truth).sum(axis=1), lengths, out=np.zeros(len(ours)), where=lengths > 0))

    def targets_wanted(self, targets: np.ndarray, _labels: Labels) -> str | None:
        """Want vectors of two or more numbers."""
        return None if per_row(targets) > 1 else "vectors (rows, size) of two or more numbers"


class Own(PredictionTask):
    """Whatever the workload's own `predictions` and `score` say."""

    name = "own"
    best_score = None
    right_or_wrong = False
    fitting_metrics = None

    def predictions(self, _outputs: np.ndarray, _labels: Labels) -> np.ndarray:
        """Raise ConfigurationError: only the workload knows."""
        raise ConfigurationError(
            f'expected `predictions` of the workload, as its `task` is "own", got none; {THE_USUAL}'
        )

    def right_answers(self, targets: np.ndarray, labels: Labels) -> np.ndarray | None:
        """Return the targets, where there is one per row."""
        return named(targets, labels) if targets.ndim == 1 else None

    def targets_wanted(self, _targets: np.ndarray, _labels: Labels) -> str | None:
        """Take any targets."""
        return None

    def outputs_wanted(self, _row: tuple[int, ...], _targets: np.ndarray, _labels: Labels) -> str | None:
        """Take any outputs."""
        return None

    def soft_labels(self, _outputs: np.ndarray, _targets: np.ndarray) -> SoftLabelLoss | None:
        """Return None: nothing says how outputs are to be compared."""
        return None


def _class_axis(outputs: np.ndarray, targets: np.ndarray) -> int | None:
    """Return the axis of the classes: the one that the targets lack, of two such the first; None where there is none.

    Targets that are probabilities of classes themselves have the shape of outputs (rows, classes).
    """
    if outputs.ndim == 2 and outputs.shape == targets.shape:
        return 1 if outputs.shape[1] > 1 and are_probabilities(targets) else None
    positions = targets.shape[1:] if per_row(targets) > 1 else ()
    for axis in (1, outputs.ndim - 1):
        others = tuple(size for place, size in enumerate(outputs.shape) if place not in (0, axis))
        fits = others == positions or (not positions and set(others) <= {1})
        if 0 < axis < outputs.ndim and fits and outputs.shape[axis] > 1 and targets.dtype.kind in WHOLE:
            return axis
    return None


def _are_yes_or_no(targets: np.ndarray) -> bool:
    return bool(((targets == 0) | (targets == 1)).all())


def _joined(there: np.ndarray, labels: Labels) -> np.ndarray:
    names = [str(number) for number in range(there.shape[1])] if labels is None else list(labels)
    rows = [BETWEEN.join(name for name, yes in zip(names, row, strict=True) if yes) or NO_LABEL for row in there]
    return np.asarray(rows, dtype=object)


def _values(outputs: np.ndarray) -> np.ndarray:
    if per_row(outputs) == 1:
        return outputs.reshape(-1).astype(float)
    flat = outputs.reshape(len(outputs), -1)
    more = ", ..." if flat.shape[1] > VALUES_SHOWN else ""
    texts = [", ".join(f"{value:.4g}" for value in row[:VALUES_SHOWN]) + more for row in flat]
    return np.asarray(texts, dtype=object)
