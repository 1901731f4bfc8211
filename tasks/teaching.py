"""What teaches every training: the parent's answers, kept, or the parent itself where the workload makes new rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_compression.training import Augment, Teacher
from tasks.intake import Parent
from tasks.job import Job


@dataclass(frozen=True)
class Teaching:
    """The teacher of fine_tune() and how it augments; None leaves the rows as they are."""

    teacher: Teacher
    augment: Augment | None


def teaching(job: Job, parent: Parent, answers: Path) -> Teaching:
    """Read the parent's `answers` to the training rows; new rows in every epoch are for the parent itself to answer."""
    if job.workload.augments:
        return Teaching(parent.build(), job.workload.augment)
    return Teaching(np.load(answers), None)
