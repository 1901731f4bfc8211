"""The workload: the user's own Python with the data, the loss and the score, which no registered model carries."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from deployments.answers import (
    AskedRows,
    Detection,
    PredictionTask,
    RowBoxes,
    TaskName,
    prediction_task,
    reference_of,
)
from deployments.errors import ConfigurationError
from deployments.rows import DeploymentSample, Split, SplitName
from model_compression.students import Interface

_OPTIONAL = ("loss", "score", "predictions", "right_answers", "probabilities", "boxes", "augment")


class Workload(ABC):
    """Base of the class that a user writes for a model of their own; recipes name it as `package.module:Class`.

    `split` must be written, and `loss` for most tasks. All other methods have a default, which follows from `task`: a
    classifier unless it says otherwise. A method that is written wins over the task's.
    """

    task: TaskName = "classification"
    """The kind of outputs: classification, binary, multi_label, regression, embedding, segmentation, detection, or own:
    see `predictions`."""
    labels: Sequence[str] | None = None
    """Names of the classes or labels, by number; predictions, metrics of classes and reports then speak these names."""
    preprocessing: Mapping[str, object] | Sequence[object] | str | None = None
    """Description of what was done to the rows before the model, in plain values; it travels with the model."""
    group: str | None = None
    """The slice column whose values mark rows that belong together, such as a patient or a machine: no two splits may
    share one, and confidence bounds count groups in place of rows."""
    output: str | None = None
    """The name of the output that is scored, of a model that has several; the edge model is without the others."""
    ignore_index: int | None = None
    """The number in masks of targets that stands for pixels that count nowhere, for the task segmentation."""
    pixels_per_cell: int | None = None
    """The pixels from one cell of the outputs to the next, for the task detection."""
    shared_rows: str | None = None
    """The reason, in 3 words or more, why rows with the same inputs are in two splits of which one judges the other."""

    @abstractmethod
    def split(self, name: SplitName) -> Split:
        """Return the rows of a split; the same rows at every call."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the scalar loss of a batch against the ground truth; segmentation and detection have a default."""
        return self.meaning.loss(outputs, targets)

    def data_version(self) -> str | None:
        """Return a text that changes with every change of any split, or None.

        A version is answered again when its data change. Without a text here, every split is read and digested to see
        that, which takes long where reading is slow. The run's record says which of the two was used.
        """
        return None

    def deployment_sample(self) -> DeploymentSample | None:
        """Return rows from the deployment sites that no split has, or None; their labels may be unknown.

        A recipe with `representativeness` compares the train and calibration splits with them.
        """
        return None

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return one number per row, higher for better: 1 for right and 0 for wrong, or minus an error.

        Classification, binary and multi_label give 0 and 1, the last one 1 where all labels of the row are right.
        regression gives minus the mean absolute error of the row, embedding the cosine similarity, segmentation the
        mean intersection over union of the classes that occur in the row, detection their mean F1.
        """
        if "predictions" not in self.written or not self.meaning.right_or_wrong:
            return self.meaning.score(outputs, targets)
        right = self.right_answers(targets)
        return np.asarray(self.predictions(outputs) == (targets if right is None else right)).astype(float)

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        """Return the model's answer to each row, as people read it, in the words of `labels` where there are some."""
        return self.meaning.predictions(outputs, self.labels)

    def right_answers(self, targets: np.ndarray) -> np.ndarray | None:
        """Return the right answer of each row in the words of `predictions`, or None where there is none.

        Metrics of classes (recall, F1, ...) compare the two.
        """
        return self.meaning.right_answers(targets, self.labels)

    def probabilities(self, outputs: np.ndarray) -> pd.DataFrame | None:
        """Return the probability of each class for each row, columns named as `predictions` name the classes, or None.

        Probability calibration and AUROC need it. Softmax of class scores (rows, classes), sigmoid of one logit, None
        for other tasks; outputs of classes that already are probabilities stay what they are.
        """
        return self.meaning.probabilities(outputs, self.labels)

    def boxes(self, outputs: np.ndarray) -> Sequence[RowBoxes]:
        """Return the boxes of each row, for the task detection: corners (n, 4) in pixels, scores (n,) and classes (n,).

        By default of cells with distances and class logits, as deployments.answers.boxes_of_cells has them; that
        function takes other thresholds. For outputs of another form, write `loss` too.
        """
        return Detection(self.pixels_per_cell).boxes(outputs)

    def build_model(self) -> nn.Module | None:
        """Return a fresh module of the registered architecture, to be used instead of the rebuilt program.

        Only for programs that cannot be rebuilt; the program's weights are loaded into it strictly by name.
        """
        return None

    def augment(self, inputs: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return changed rows of the same meaning for one training step, drawn by `generator`; shapes stay.

        By default rows are trained on as they are, and the parent's answers to them are computed once. Where this is
        overridden, the parent answers in every step: training takes longer and learns more from the parent.
        """
        return inputs

    @property
    def augments(self) -> bool:
        """True where the workload changes rows for training."""
        return "augment" in self.written

    @property
    def written(self) -> frozenset[str]:
        """The names of the optional methods that the workload has of its own."""
        return frozenset(name for name in _OPTIONAL if getattr(type(self), name) is not getattr(Workload, name))

    @property
    def answers_are_shares(self) -> bool:
        """True where scores are 0 and 1 by default, so that their mean is an accuracy."""
        return "score" not in self.written and self.meaning.right_or_wrong

    @property
    def answers_are_values(self) -> bool:
        """True where answers are measured values by default, of which two are hardly ever the same."""
        return "predictions" not in self.written and self.meaning.values

    @property
    def scores_are_errors(self) -> bool:
        """True where scores are minus an error by default, in the unit of the targets."""
        return "score" not in self.written and self.task == "regression"

    @property
    def meaning(self) -> PredictionTask:
        """The meaning of the outputs by the `task`: the functions that are the defaults."""
        if self.task == "detection":
            return Detection(self.pixels_per_cell, self.boxes, dense=not {"boxes", "loss"} <= self.written)
        return prediction_task(self.task, self.ignore_index)

    def build_student(self, interface: Interface, width: int, depth: int) -> nn.Module:
        """Return a fresh student network, for a recipe whose `distil` says `family: own`.

        It returns class scores (rows, interface.classes) for inputs of `interface.shapes`, and is larger with `width`
        and with `depth`.
        """
        raise ConfigurationError(
            f"workload `{reference_of(self)}`: expected build_student(), got none; write "
            "it, or choose another `family` in the recipe's `distil`"
        )

    def picture(self, split: Split, row: int) -> np.ndarray | None:
        """Return an image of a row for the report, (H, W) or (C, H, W) with 1 or 3 channels, or None."""
        array = split.inputs[0][row]
        return array if array.ndim == 3 and array.shape[0] in (1, 3) else None

    def text(self, split: Split, row: int) -> str | None:
        """Return a row as text for the report, or None."""
        return None

    @property
    def tells_text(self) -> bool:
        """True where the workload has texts of its rows."""
        return type(self).text is not Workload.text

    @property
    def purpose(self) -> str:
        """The first paragraph of what the workload's own class says of itself; empty where it says nothing."""
        told = type(self).__doc__
        return "" if told is None else " ".join(inspect.cleandoc(told).split("\n\n")[0].split())

    def asked(self, outputs: np.ndarray, targets: np.ndarray) -> Sequence[AskedRows] | None:
        """Return the rows of each task, of a family whose rows ask one task each; None for one model."""
        return None

    def of_tasks(self, outputs: np.ndarray) -> Sequence[tuple["Workload", np.ndarray]]:
        """Return the workload of each task with the outputs that are its own: of one model, itself with all of them."""
        return ((self, outputs),)

    @property
    def of_models(self) -> Sequence["Workload"]:
        """The workloads of a family's members; of one model, itself alone."""
        return (self,)

    def known_targets(self, targets: np.ndarray) -> Sequence[tuple[str, "Workload", np.ndarray]]:
        """Return each task of a family with its workload and its own targets of the rows that it knows.

        One model has no tasks by name, and knows all rows.
        """
        return (("", self, targets),)

    def questions(self, split: Split) -> tuple[pd.DataFrame, np.ndarray]:
        """Return slice columns and targets with one line for each right answer; the index holds the row's number.

        One model has the rows themselves. A training row of a family has a line for each task that knows it.
        """
        return split.slices.reset_index(drop=True), split.targets

    def judged(self, splits: Mapping[SplitName, Split]) -> Iterator[tuple[Mapping[SplitName, Split], str | None]]:
        """Yield splits that may share no rows of which one judges another, with the reason why they do all the same."""
        yield splits, self.shared_rows
