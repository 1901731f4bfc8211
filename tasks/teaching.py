"""What teaches every training: the parent's answers, kept, or the parent itself where the workload makes new rows."""

from dataclasses import dataclass

import numpy as np

from model_compression.training import Augment, Teacher
from tasks.job import Job
from tasks.parent_outputs import split_outputs
from tasks.parents import TorchParent


@dataclass(frozen=True)
class Teaching:
    """The teacher of fine_tune() and how it augments; None leaves the rows as they are."""

    teacher: Teacher
    augment: Augment | None


def teaching(job: Job, parent: TorchParent) -> Teaching:
    """Read the parent's answers to the training rows; new rows in every epoch are for the parent itself to answer."""
    if job.workload.augments:
        return Teaching(parent.build(), job.workload.augment)
    return Teaching(np.load(split_outputs(job, parent, "train")), None)
