"""Distillation targets of every training: the parent's stored answers, or the parent where rows are augmented.

With them comes the loss that fits the parent's outputs: what can be learnt from an answer depends on what it says.
"""

import logging
from dataclasses import dataclass

import numpy as np
from torch import nn

from deployments.workload import soft_labels_of
from model_compression.training import Augment, FineTuning, SoftLabelLoss, Teacher, fine_tune, soft_label_loss
from quality_gates.errors import EvidenceError
from quality_gates.evidence import in_slice
from tasks.job import Job, labelled_rows
from tasks.progress import steps
from tasks.upstream import Context

logger = logging.getLogger("edgewright")


@dataclass(frozen=True)
class DistillationTargets:
    """The teacher that fine_tune() learns from, its augmentation, and the weight with which it draws each row.

    Without `augment` the rows stay as they are; without `weights` all rows are drawn equally often. `teacher` is None
    where no loss of soft labels fits the outputs.
    """

    teacher: Teacher | None
    augment: Augment | None
    weights: np.ndarray | None
    soft_labels: SoftLabelLoss = soft_label_loss


def distillation_targets(context: Context) -> DistillationTargets:
    """Read the parent's answers to the training rows; augmented rows are answered by the parent itself.

    Raises PreflightError for an ONNX parent, which cannot be asked for gradients.
    """
    job, parent = context.job, context.torch_parent
    augment = job.augment if job.workload.augments else None
    outputs, targets = np.load(context.parent_outputs("validation"), mmap_mode="r"), job.splits["validation"].targets
    soft_labels = soft_labels_of(job.workload, outputs, targets)
    if soft_labels is None:  # then no training distils, which was checked
        return DistillationTargets(None, augment, row_weights(job))
    teacher = np.load(context.parent_outputs("train"), mmap_mode="c") if augment is None else parent.build()
    return DistillationTargets(teacher, augment, row_weights(job), soft_labels)


def fine_tune_with_parent(context: Context, model: nn.Module, settings: FineTuning, description: str) -> None:
    """Distil the parent into a model, in place, on the training rows; `description` is shown beside the progress."""
    job, targets = context.job, distillation_targets(context)
    train = job.splits["train"]
    with steps(description) as progress:
        fine_tune(
            model, train.inputs, train.targets, targets.teacher, job.loss, settings, progress,
            job.validation_score, targets.augment, targets.weights, targets.soft_labels,
        )  # fmt: skip


def row_weights(job: Job) -> np.ndarray | None:
    """Return a weight per training row: the recipe's in critical slices, else 1; None where all rows weigh 1."""
    weight = job.recipe.critical_weight
    if weight == 1:
        return None
    rows = labelled_rows(job.workload, job.splits["train"])
    critical = np.zeros(len(job.splits["train"]), dtype=bool)
    for condition in job.recipe.critical_slices:
        try:
            critical[rows.index[in_slice(rows, condition)]] = True
        except EvidenceError:  # it is the test rows that a gate needs
            logger.warning("no training row is known to have %s, so none is trained on more often", condition)
    return np.where(critical, weight, 1.0)
