"""Rows of a workload, read and checked: its splits, the rows that they share, and its sample from the sites."""

import operator
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor

from deployments.answers import check_outputs, check_targets, reference_of
from deployments.errors import ConfigurationError
from deployments.leaks import SharedRows, check_groups, check_shared_rows, shared_rows
from deployments.mapped import changeable
from deployments.rows import SPLITS, DeploymentSample, Split, SplitName, check_sample, check_splits
from deployments.user_calls import call_user_code
from deployments.workload.workload_class import Workload
from edge_runtime.errors import EdgewrightError
from model_compression.training import SoftLabelLoss


def read_splits(workload: Workload) -> dict[SplitName, Split]:
    """Read and check all splits.

    Raises:
        ConfigurationError: a split cannot be read or is not usable.
    """
    splits: dict[SplitName, Split] = {}
    try:
        for name in SPLITS:
            splits[name] = _read_split(workload, name)
        check_splits(splits, gaps=workload.meaning.has_gaps)
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
        for judged, why in workload.judged(splits):
            check_shared_rows(found if judged is splits else shared_rows(judged), why)
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


def loss_of(workload: Workload, whose: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return a workload's loss of a batch; `whose` it is, an error says first.

    Raises:
        ConfigurationError: it fails, or is no scalar.
    """
    value = call_user_code(
        lambda: workload.loss(outputs, targets),
        f"{whose}: expected the loss of outputs of shape {tuple(outputs.shape)} and targets of shape "
        f"{tuple(targets.shape)}",
        "correct Workload.loss",
    )
    if not isinstance(value, Tensor) or value.numel() != 1:
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ConfigurationError(
            f"{whose}: expected one number as the loss of a batch, got {got}; correct Workload.loss"
        )
    return value


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
        return check_sample(sample, splits, gaps=workload.meaning.has_gaps)
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
