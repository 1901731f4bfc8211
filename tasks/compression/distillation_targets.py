"""What teaches every training: the parent's answers, kept, or the parent itself where the workload makes new rows."""

import logging
from dataclasses import dataclass

import numpy as np

from model_compression.training import Augment, Teacher
from quality_gates.errors import EmptySliceError
from quality_gates.evidence import in_slice
from tasks.job import Job
from tasks.upstream import TorchParent, split_outputs

logger = logging.getLogger("edgewright")


@dataclass(frozen=True)
class Teaching:
    """The teacher of fine_tune(), how it augments and how often it draws each row.

    None leaves the rows as they are, and draws all alike.
    """

    teacher: Teacher
    augment: Augment | None
    weights: np.ndarray | None


def teaching(job: Job, parent: TorchParent) -> Teaching:
    """Read the parent's answers to the training rows; new rows in every epoch are for the parent itself to answer."""
    if job.workload.augments:
        return Teaching(parent.build(), job.workload.augment, _weights(job))
    return Teaching(np.load(split_outputs(job, parent, "train")), None, _weights(job))


def _weights(job: Job) -> np.ndarray | None:
    """The recipe's weight for rows of any critical slice, 1 for others."""
    weight, rows = job.recipe.critical_weight, job.splits["train"].slices
    if weight == 1:
        return None
    critical = np.zeros(len(rows), dtype=bool)
    for condition in job.recipe.critical_slices:
        try:
            critical |= in_slice(rows, condition)
        except EmptySliceError:  # it is the test rows that a gate needs
            logger.warning("no training row has %s, so none is trained on more often", condition)
    return np.where(critical, weight, 1.0)
