"""The meaning of a model's outputs beside the right answers: the task, and what a workload of it must say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deployments.answers import Detection, PredictionTask, TaskName, prediction_task
from deployments.errors import ConfigurationError
from model_compression.training import are_probabilities

_WHOLE = "biu"
_BOX = 5  # numbers of a box: its corners and its class


@dataclass(frozen=True)
class OutputMeaning:
    """A task with the attributes that a workload of it has: of masks the number of pixels that count nowhere.

    Of boxes it is the pixels of a cell. `probabilities` says that class outputs are no logits.
    """

    task: TaskName
    ignore_index: int | None = None
    pixels_per_cell: int | None = None
    probabilities: bool = False

    @property
    def functions(self) -> PredictionTask:
        """The default functions of the task."""
        if self.task == "detection":
            return Detection(self.pixels_per_cell)
        return prediction_task(self.task, self.ignore_index)

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """Return the mean score by the default function, minus infinity for outputs that are no numbers.

        Raises ConfigurationError for masks with more than one number that is no class.
        """
        if self.task == "segmentation":
            _check_classes(outputs, targets)
        if not np.isfinite(outputs).all():
            return -np.inf
        kind = np.float64 if self.task in ("regression", "embedding", "detection") else np.int64
        return float(self.functions.score(outputs, targets.astype(kind)).mean())


def meaning_of(
    inputs: Sequence[np.ndarray], outputs: np.ndarray, targets: np.ndarray, task: TaskName | None
) -> OutputMeaning:
    """Return what outputs mean for these targets, where a person named no task.

    Raises ConfigurationError where that is open, and for masks and boxes that do not fit the outputs.
    """
    meant = task or _task(outputs, targets)
    if meant == "segmentation":
        _check(meant, outputs, targets.ndim == 3 and outputs.ndim == 4, "masks (rows, height, width)", targets)
        return OutputMeaning(meant, ignore_index=_ignored(outputs, targets))
    if meant == "detection":
        _check(meant, outputs, _are_boxes(targets) and outputs.ndim == 4, "boxes (rows, most, 5)", targets)
        return OutputMeaning(meant, pixels_per_cell=_pixels_per_cell(inputs, outputs))
    return OutputMeaning(meant, probabilities=meant == "classification" and are_probabilities(outputs))


def _task(outputs: np.ndarray, targets: np.ndarray) -> TaskName:
    ours, theirs = (int(np.prod(array.shape[1:])) for array in (outputs, targets))
    whole = targets.dtype.kind in _WHOLE or bool((targets == np.round(targets)).all())
    yes_or_no = bool(np.isin(targets, (0, 1)).all())
    if outputs.ndim == 4 and _are_boxes(targets):
        return "detection"
    if _are_masks(outputs, targets):
        return "segmentation"
    if theirs == 1 and whole and outputs.ndim == 2 and ours > 1:
        return "classification"
    if theirs == 1 and yes_or_no and ours == 1:
        return "binary"
    if theirs > 1 and yes_or_no and outputs.shape == targets.shape:
        return "multi_label"
    if ours == theirs and outputs.shape[0] == targets.shape[0]:
        return "regression"
    raise ConfigurationError(
        f"expected outputs and right answers of one kind, got outputs of shape {outputs.shape} for targets of shape "
        f"{targets.shape} and type {targets.dtype}; write the workload yourself and name it with --workload"
    )


def _are_masks(outputs: np.ndarray, targets: np.ndarray) -> bool:
    """Tell whether targets are whole numbers at each pixel of outputs (rows, classes, height, width).

    Beside one logit they are 0 and 1, and at most one number that counts nowhere: more of them are measured values.
    """
    at_pixels = targets.ndim == 3 and outputs.ndim == 4 and outputs.shape[2:] == targets.shape[1:]
    if not at_pixels or targets.dtype.kind not in _WHOLE:
        return False
    numbers = set(np.unique(targets).tolist())
    return outputs.shape[1] > 1 or numbers <= {0, 1} or ({0, 1} <= numbers and len(numbers) == 3)


def _are_boxes(targets: np.ndarray) -> bool:
    """Tell whether targets are padded boxes (rows, most, 5), at least one of them with its corners in order."""
    if targets.ndim != 3 or targets.shape[2] != _BOX:
        return False
    classes, there = targets[..., 4], targets[..., 4] >= 0
    whole = bool(((classes == np.round(classes)) & (classes >= -1)).all())
    return whole and bool(there.any()) and bool((targets[there][:, 2:4] > targets[there][:, :2]).all())


def _ignored(outputs: np.ndarray, targets: np.ndarray) -> int | None:
    """Return the number in masks that no class has, such as 255, where there is exactly one."""
    beyond = _beyond(outputs, targets)
    return int(beyond[0]) if len(beyond) == 1 else None


def _beyond(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    numbers = np.unique(targets)
    return np.asarray(numbers[(numbers < 0) | (numbers >= max(outputs.shape[1], 2))])


def _check_classes(outputs: np.ndarray, targets: np.ndarray) -> None:
    """Raise ConfigurationError for masks with more than one number that is no class."""
    if len(beyond := _beyond(outputs, targets)) > 1:
        got = ", ".join(map(str, beyond[:5].tolist()))
        raise ConfigurationError(
            f"expected masks of the class numbers 0 to {max(outputs.shape[1], 2) - 1}, and at most one other for "
            f"pixels that count nowhere, got {got}; write one number for all of these"
        )


def _pixels_per_cell(inputs: Sequence[np.ndarray], outputs: np.ndarray) -> int:
    images = [array.shape[2:] for array in inputs if array.ndim == 4]
    for high, wide in images:
        pixels = high // outputs.shape[2]
        if pixels and (pixels * outputs.shape[2], pixels * outputs.shape[3]) == (high, wide):
            return int(pixels)
    got = " and ".join(f"{high} x {wide}" for high, wide in images) or "no image"
    raise ConfigurationError(
        f"expected images whose height and width are the same multiple of the {outputs.shape[2]} x {outputs.shape[3]} "
        f"cells of outputs {outputs.shape}, got {got}; write the workload yourself, with its `boxes` and `loss`, and "
        "name it with --workload"
    )


def _check(task: TaskName, outputs: np.ndarray, fits: bool, wanted: str, targets: np.ndarray) -> None:
    if not fits:
        raise ConfigurationError(
            f"expected for the task {task} {wanted} and outputs of four axes, got targets {targets.shape} and outputs "
            f"{outputs.shape}; correct --task or --targets"
        )
