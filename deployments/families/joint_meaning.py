"""The meaning of a family's outputs: that of each task's own outputs, by its own workload."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from deployments.answers import PredictionTask, TaskName, check_outputs
from deployments.errors import ConfigurationError
from deployments.families.family_task import PlacedTask
from deployments.workload import loss_of
from model_compression.training import SoftLabelLoss


@dataclass(frozen=True, eq=False)
class JointMeaning(PredictionTask):
    """Outputs (rows, total) of all tasks and targets (rows, width), NaN where a task does not know the row."""

    tasks: tuple[PlacedTask, ...]

    name: ClassVar[TaskName] = "own"
    best_score = None
    right_or_wrong = False
    has_loss = True
    has_gaps = True
    fitting_metrics = None

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the weighted sum of the losses of all tasks, each on the rows that it knows.

        Raises ConfigurationError, with the name of the task, where a loss fails or is no scalar.
        """
        total = outputs.sum() * 0
        for placed in self.tasks:
            rows = placed.known_rows(targets)
            if len(rows):
                total = total + placed.task.weight * _loss(placed, outputs[rows], targets[rows])
        return total

    def predictions(self, outputs: np.ndarray, _labels: Sequence[str] | None) -> np.ndarray:
        """Return the answers of all tasks to each row as one text."""
        answers = [(each.task, each.task.workload.predictions(each.outputs_of(outputs))) for each in self.tasks]
        texts = (", ".join(f"{task.name} {own[row]}" for task, own in answers) for row in range(len(outputs)))
        return np.fromiter(texts, dtype=object, count=len(outputs))

    def right_answers(self, targets: np.ndarray, _labels: Sequence[str] | None) -> np.ndarray | None:
        """Return the right answer of each row in the words of its task; None where that has none, or for two tasks."""
        told = np.full(len(targets), None, dtype=object)
        known = np.stack([placed.known(targets) for placed in self.tasks])
        for placed, mine in zip(self.tasks, known, strict=True):
            rows = np.flatnonzero(mine & (known.sum(axis=0) == 1))
            own = placed.task.workload.right_answers(placed.targets_of(targets[rows])) if len(rows) else None
            if own is not None:
                told[rows] = np.asarray(own).tolist()
        return None if all(each is None for each in told) else told

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the score of each row by its task, of several the mean."""
        total, count = np.zeros(len(targets)), np.zeros(len(targets))
        for placed in self.tasks:
            rows = np.flatnonzero(placed.known(targets))
            if len(rows):
                own, truth = placed.outputs_of(outputs[rows]), placed.targets_of(targets[rows])
                total[rows] += placed.task.workload.score(own, truth)
                count[rows] += 1
        return total / np.maximum(count, 1)

    def targets_wanted(self, _targets: np.ndarray, _labels: Sequence[str] | None) -> str | None:
        """Take any targets: those of each member were looked at with its own splits."""
        return None

    def outputs_wanted(self, row: tuple[int, ...], targets: np.ndarray, _labels: Sequence[str] | None) -> str | None:
        """Want the numbers of all tasks, and of each what its own workload wants.

        Raises ConfigurationError, with the name of the task, for the second.
        """
        total = self.tasks[-1].output_columns.stop
        if row != (total,):
            return f"{total} numbers for each row, the outputs of all tasks one after the other"
        for placed in self.tasks:
            workload, own = placed.task.workload, targets[placed.known(targets)]
            if not len(own):
                continue
            try:
                check_outputs(
                    workload.meaning, workload.labels, workload.written, placed.task.outputs, placed.targets_of(own)
                )
            except ConfigurationError as error:
                raise ConfigurationError(f"task `{placed.task.name}`: key `outputs` of the recipe: {error}") from error
        return None

    def soft_labels(self, outputs: np.ndarray, targets: np.ndarray) -> SoftLabelLoss | None:
        """Return the weighted sum of the tasks' losses of soft labels, each on all rows; None where a task has none."""
        found = [_soft_labels(placed, outputs, targets) for placed in self.tasks]
        parts = [(placed, own) for placed, own in zip(self.tasks, found, strict=True) if own is not None]
        if len(parts) < len(self.tasks):
            return None

        def weighted(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
            total = student.sum() * 0
            for placed, own in parts:
                ours, theirs = placed.output_tensor(student), placed.output_tensor(teacher)
                total = total + placed.task.weight * own(ours, theirs, temperature)
            return total

        return weighted


def _loss(placed: PlacedTask, outputs: Tensor, targets: Tensor) -> Tensor:
    own, truth = placed.output_tensor(outputs), placed.target_tensor(targets)
    return loss_of(placed.task.workload, f"task `{placed.task.name}`", own, truth).reshape(())


def _soft_labels(placed: PlacedTask, outputs: np.ndarray, targets: np.ndarray) -> SoftLabelLoss | None:
    known = placed.known(targets)
    if not known.any():
        return None
    rows = outputs[known] if len(outputs) == len(targets) else outputs
    return placed.task.workload.meaning.soft_labels(placed.outputs_of(rows), placed.targets_of(targets[known]))
