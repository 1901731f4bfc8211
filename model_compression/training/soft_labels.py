"""Losses of soft labels: a student's answers compared with the parent's, for each kind of output."""

from collections.abc import Callable

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from model_compression.errors import TrainingError

SoftLabelLoss = Callable[[Tensor, Tensor, float], Tensor]
"""A function of (the student's outputs, the parent's outputs, temperature) that returns a scalar loss."""
SMALLEST = 1e-12  # probability whose logarithm is finite in float32
SUM_TOLERANCE = 1e-3
ROWS = 256  # looked at together


def soft_label_loss(
    student: Tensor, teacher: Tensor, temperature: float, *, axis: int = 1, probabilities: bool = False
) -> Tensor:
    """Compute the Kullback-Leibler divergence of the student's softened probabilities from the teacher's.

    Both are logits of one shape (rows, ...) whose classes lie on `axis`; with more axes, each position is a prediction
    of its own and the loss is their mean. `probabilities` says that both are probabilities, whose logarithms are
    logits. The loss is scaled by temperature^2, so that its gradient keeps its size. Raises TrainingError for other
    shapes. Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015.
    """
    _check(student, teacher, "logits of two or more classes (rows, classes, ...)")
    if student.dim() < 2 or student.shape[axis] < 2:
        raise TrainingError(
            f"expected logits of two or more classes (rows, classes, ...), got shape {tuple(student.shape)}, whose "
            "softmax is 1 whatever the model says; set the workload's `task` to what the outputs are"
        )
    logits = (student, teacher)
    if probabilities:
        logits = (student.clamp_min(SMALLEST).log(), teacher.clamp_min(SMALLEST).log())
    ours, theirs = (F.log_softmax(each / temperature, dim=axis) for each in logits)
    predictions = student.numel() // student.shape[axis]
    return F.kl_div(ours, theirs, reduction="sum", log_target=True) / predictions * temperature**2


def soft_binary_loss(student: Tensor, teacher: Tensor, temperature: float, *, probabilities: bool = False) -> Tensor:
    """Compute the mean divergence of independent yes-or-no answers from the teacher's, each softened by itself.

    Both are logits of one shape (rows, ...), one for each label; with `probabilities` both are probabilities. The loss
    is scaled as soft_label_loss() is. Raises TrainingError for different shapes.
    """
    _check(student, teacher, "logits of labels")
    ours, theirs = (_logits(each) if probabilities else each for each in (student, teacher))
    ours, theirs = ours / temperature, theirs / temperature
    yes = theirs.sigmoid()
    divergence = yes * (F.logsigmoid(theirs) - F.logsigmoid(ours))
    divergence = divergence + (1 - yes) * (F.logsigmoid(-theirs) - F.logsigmoid(-ours))
    return divergence.mean() * temperature**2


def soft_value_loss(student: Tensor, teacher: Tensor, _: float) -> Tensor:
    """Compute the mean squared error from the teacher's values, which no temperature softens.

    Raises TrainingError for different shapes.
    """
    _check(student, teacher, "values")
    return F.mse_loss(student, teacher)


def are_probabilities(outputs: np.ndarray, axis: int = 1) -> bool:
    """Tell whether outputs (rows, ...) are probabilities of classes on `axis`: none below 0, and a sum of 1."""
    parts = (outputs[start : start + ROWS] for start in range(0, len(outputs), ROWS))  # of a map of a file, too
    return all(bool((part >= 0).all() and np.allclose(part.sum(axis=axis), 1, atol=SUM_TOLERANCE)) for part in parts)


def _check(student: Tensor, teacher: Tensor, what: str) -> None:
    if student.shape != teacher.shape:
        raise TrainingError(
            f"expected {what} of one shape from student and teacher, got {tuple(student.shape)} and "
            f"{tuple(teacher.shape)}; give the student the parent's form of output"
        )


def _logits(probabilities: Tensor) -> Tensor:
    return probabilities.clamp_min(SMALLEST).log() - (1 - probabilities).clamp_min(SMALLEST).log()
