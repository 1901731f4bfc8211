"""The form of a prediction task: what outputs mean, and what a workload need not write itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from torch import Tensor

from deployments.errors import ConfigurationError
from deployments.mapped import parts_of
from model_compression.training import SoftLabelLoss

TaskName: TypeAlias = Literal[
    "classification", "binary", "multi_label", "regression", "embedding", "segmentation", "detection", "own"
]
TASKS: tuple[TaskName, ...] = get_args(TaskName)
Labels: TypeAlias = Sequence[str] | None
OF_CLASSES = frozenset({"accuracy", "recall", "precision", "f1", "macro_f1", "balanced_accuracy"})
VALUES_SHOWN = 3
WHOLE = "biu"
"""Kinds of arrays of whole numbers."""
COLORS = np.array([
    (24, 28, 34), (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
    (204, 121, 167),
], dtype=np.uint8)  # fmt: skip
"""Colours that are told apart by most eyes. Source: Okabe and Ito, Color Universal Design, 2008."""


class PredictionTask(ABC):
    """One kind of output, with the functions of a workload that it is the default of.

    `best_score` is the score of a row that could not be answered better, None where that is not known;
    `right_or_wrong` says that every score is 0 or 1, `values` that hardly two answers are the same, `has_loss` that a
    workload need not write one, `draws` that answers are drawn in reports, and `has_gaps` that NaN in targets is meant.
    `fitting_metrics` are the metrics of gates that mean something on its scores and predictions; None stands for all.
    `parts` are classes and functions of other modules that the answers depend on.
    """

    name: ClassVar[TaskName]
    best_score: float | None = 1
    right_or_wrong = True
    values = False
    has_loss = False
    draws = False
    has_gaps = False
    fitting_metrics: frozenset[str] | None = OF_CLASSES | {"auroc"}
    parts: ClassVar[tuple[object, ...]] = ()

    def loss(self, _outputs: Tensor, _targets: Tensor) -> Tensor:
        """Return the scalar loss of a batch where the task `has_loss`. Raises ConfigurationError for all others."""
        raise ConfigurationError(f'expected `loss` of the workload, as its `task` is "{self.name}", got none; write it')

    @abstractmethod
    def predictions(self, outputs: np.ndarray, labels: Labels) -> np.ndarray:
        """Return one answer for each row, as people read it."""

    @abstractmethod
    def right_answers(self, targets: np.ndarray, labels: Labels) -> np.ndarray | None:
        """Return the right answer of each row in the words of `predictions`, or None."""

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return one number for each row; a higher one is better."""
        right = self.right_answers(targets, None)
        return np.asarray(self.predictions(outputs, None) == right).astype(float)

    def probabilities(self, _outputs: np.ndarray, _labels: Labels) -> pd.DataFrame | None:
        """Return the probability of each class for each row, or None."""
        return None

    def logits(self, _outputs: np.ndarray) -> np.ndarray | None:
        """Return the part of the outputs where a number above 0 is a yes; None for outputs without such a part."""
        return None

    def areas(self, _outputs: np.ndarray, _targets: np.ndarray, _labels: Labels) -> Mapping[str, np.ndarray]:
        """Return columns (rows,) that tell of each row's areas or boxes by class; none for outputs without them."""
        return {}

    def drawing(self, _answer: np.ndarray, _picture: np.ndarray | None) -> np.ndarray | None:
        """Return the answer to one row as an image (height, width, 3) of bytes, None where it is none.

        The picture is the row's input, where the workload has one.
        """
        return None

    def drawing_of_target(self, _target: np.ndarray, _picture: np.ndarray | None) -> np.ndarray | None:
        """Return the target of one row as `drawing` does an answer."""
        return None

    @abstractmethod
    def targets_wanted(self, targets: np.ndarray, labels: Labels) -> str | None:
        """Return what targets should be where these are not it, else None."""

    @abstractmethod
    def outputs_wanted(self, row: tuple[int, ...], targets: np.ndarray, labels: Labels) -> str | None:
        """Return what outputs should be where those of shape (rows, *row) are not it, else None."""

    @abstractmethod
    def soft_labels(self, outputs: np.ndarray, targets: np.ndarray) -> SoftLabelLoss | None:
        """Return the loss that compares a student's outputs with these of the parent; None where none fits."""


def per_row(array: np.ndarray) -> int:
    """Count the numbers of one row."""
    return int(np.prod(array.shape[1:]))


def lie_from_0_to_1(outputs: np.ndarray) -> bool:
    """Tell whether outputs look like probabilities: logits of many rows reach beyond."""
    return all(bool(((part >= 0) & (part <= 1)).all()) for part in parts_of(outputs))


def named(numbers: np.ndarray, labels: Labels) -> np.ndarray:
    """Return the labels with these numbers; the numbers themselves without labels, or where they are no whole ones."""
    if labels is None or numbers.dtype.kind not in WHOLE:
        return numbers
    return np.asarray(labels, dtype=object)[numbers.astype(np.int64)]


def class_name(number: int, labels: Labels) -> str:
    """Return the label of a class; its number in words without labels."""
    return f"class {number}" if labels is None else labels[number]
