"""The workload: the user's own Python with the data, the loss and the score, which no registered model carries."""

import importlib
import inspect
import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from deployments.answers import (
    TASKS,
    Detection,
    PredictionTask,
    RowBoxes,
    TaskName,
    check_attributes,
    check_outputs,
    check_targets,
    prediction_task,
    reference_of,
)
from deployments.errors import ConfigurationError, one_line
from deployments.leaks import SharedRows, check_groups, check_shared_rows, shared_rows
from deployments.mapped import changeable
from deployments.rows import SPLITS, DeploymentSample, Split, SplitName, check_sample, check_splits
from deployments.user_calls import call_user_code
from edge_runtime.errors import EdgewrightError, is_of_system
from model_compression.students import Interface
from model_compression.training import SoftLabelLoss

__all__ = [
    "SPLITS",
    "DeploymentSample",
    "Split",
    "SplitName",
    "Workload",
    "check_leaks",
    "check_row_of_outputs",
    "load_workload",
    "read_sample",
    "read_splits",
    "soft_labels_of",
]

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


def load_workload(reference: str) -> Workload:
    """Import `package.module:Class` and make one.

    Raises:
        ConfigurationError: the module does not import, or the class is no usable workload.
    """
    kind = _workload_class(reference)

    def made() -> Workload:
        workload = kind()
        check_attributes(workload)
        return workload

    try:
        return call_user_code(made, f"expected {kind.__name__}() to make one without arguments", "correct its __init__")
    except EdgewrightError as error:
        raise ConfigurationError(f"workload `{reference}`: {error}") from error


def _workload_class(reference: str) -> type[Workload]:
    module_name, _, class_name = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # user code
        raise ConfigurationError(
            f"workload `{reference}`: expected module {module_name} to import, got {_described(error)}; "
            f"{_import_remedy(module_name, error)}"
        ) from error
    kind = getattr(module, class_name, None)
    if not (inspect.isclass(kind) and issubclass(kind, Workload)):
        raise ConfigurationError(
            f"workload `{reference}`: expected {class_name} to be a subclass of deployments.workload.Workload, got "
            f"{'nothing of that name' if kind is None else repr(kind)}; correct the recipe's `workload` or the module"
        )
    untaught = kind.loss is Workload.loss and not (kind.task in TASKS and prediction_task(kind.task).has_loss)
    if missing := sorted([*kind.__abstractmethods__, *(["loss"] if untaught else [])]):
        raise ConfigurationError(
            f"workload `{reference}`: expected the methods split and loss, got none for {', '.join(missing)}; write it"
        )
    return kind


def _import_remedy(module_name: str, error: BaseException) -> str:
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return "correct the module"
    if module_name == error.name or module_name.startswith(f"{error.name}."):
        return "put its folder on PYTHONPATH, or correct the recipe's `workload`"
    return f"install {error.name}, which the module imports"


def read_splits(workload: Workload) -> dict[SplitName, Split]:
    """Read and check all splits.

    Raises:
        ConfigurationError: a split cannot be read or is not usable.
    """
    splits: dict[SplitName, Split] = {}
    try:
        for name in SPLITS:
            splits[name] = _read_split(workload, name)
        check_splits(splits)
        check_targets(workload.meaning, workload.labels, workload.group, workload.written, splits)
        check_groups(splits, workload.group)
    except ConfigurationError as error:
        raise ConfigurationError(f"workload `{reference_of(workload)}`: {error}") from error
    return splits


def check_leaks(workload: Workload, splits: Mapping[SplitName, Split]) -> tuple[SharedRows, ...]:
    """Return the rows that splits share; refuse those by which one split judges what another one made or chose.

    Raises:
        ConfigurationError: there are such rows, and the workload does not say why.
    """
    found = shared_rows(splits)
    try:
        check_shared_rows(found, workload.shared_rows)
    except ConfigurationError as error:
        raise ConfigurationError(f"workload `{reference_of(workload)}`: {error}") from error
    return found


def check_row_of_outputs(workload: Workload, row: tuple[int, ...], splits: Mapping[SplitName, Split]) -> None:
    """Check that outputs of shape (rows, *row) fit the workload's functions and its targets.

    Raises:
        ConfigurationError: they do not, with the remedy.
    """
    for split in splits.values():
        try:
            check_outputs(workload.meaning, workload.labels, workload.written, row, split.targets)
        except ConfigurationError as error:
            raise ConfigurationError(f"workload `{reference_of(workload)}`: {error}") from error


def soft_labels_of(workload: Workload, outputs: np.ndarray, targets: np.ndarray) -> SoftLabelLoss | None:
    """Return the loss that compares a student's outputs with these of the parent, by the task; None where none fits."""
    return workload.meaning.soft_labels(outputs, targets)


def read_sample(workload: Workload, splits: Mapping[SplitName, Split]) -> DeploymentSample:
    """Read and check the sample from the deployment sites.

    Raises:
        ConfigurationError: there is no sample, or it is not usable.
    """
    try:
        sample = call_user_code(workload.deployment_sample, "expected its rows", "correct Workload.deployment_sample")
        if sample is None:
            raise ConfigurationError(
                "expected rows for the recipe's `representativeness`, got None; return some from "
                "Workload.deployment_sample, or drop the key from the recipe"
            )
        return check_sample(sample, splits)
    except EdgewrightError as error:
        raise ConfigurationError(f"workload `{reference_of(workload)}`: deployment sample: {error}") from error


def _read_split(workload: Workload, name: SplitName) -> Split:
    try:
        split = call_user_code(lambda: workload.split(name), "expected its rows", "correct Workload.split")
        if not isinstance(split, Split) or not isinstance(split.inputs, tuple):
            return split  # the checks of all splits say what it should be
        inputs = tuple(changeable(array) if isinstance(array, np.ndarray) else array for array in split.inputs)
        return split if all(map(operator.is_, inputs, split.inputs)) else replace(split, inputs=inputs)
    except EdgewrightError as error:
        raise ConfigurationError(f"split `{name}`: {error}") from error


def _described(error: BaseException) -> str:
    """Return a user's error as text; one of the memory or the disk is raised again, as no user can correct it."""
    if is_of_system(error):
        raise error
    return one_line(error)
