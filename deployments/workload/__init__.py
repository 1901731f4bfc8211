"""The workload: the user's own Python with the data, the loss and the score, which no registered model carries.

A name or a class of the user comes in; out come its rows, read and checked.
"""

from deployments.rows import SPLITS, DeploymentSample, Split, SplitName
from deployments.workload.loading import load_workload
from deployments.workload.reading import (
    check_leaks,
    check_row_of_outputs,
    loss_of,
    read_sample,
    read_splits,
    soft_labels_of,
)
from deployments.workload.workload_class import Workload

__all__ = [
    "SPLITS",
    "DeploymentSample",
    "Split",
    "SplitName",
    "Workload",
    "check_leaks",
    "check_row_of_outputs",
    "load_workload",
    "loss_of",
    "read_sample",
    "read_splits",
    "soft_labels_of",
]
