"""Checks before any long work: model, recipe, devices, workload and its rows, and the gates that rows can decide."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.custom_metrics import load_custom_metrics
from deployments.errors import ConfigurationError
from deployments.recipe import Recipe, read_recipe
from deployments.workload import DeploymentSample, Split, SplitName, Workload, load_workload, read_sample, read_splits
from quality_gates.errors import PolicyError
from quality_gates.gates import GatePolicy, PlanLine, check_slices, plan, unproven, unseen_classes
from tasks.emulation import emulators_for
from tasks.errors import EmulatorMissing, PreflightError
from tasks.job import Job, known_classes, labelled_rows, right_answers
from tasks.registry import Upstream
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
SHOWN = 5
CLASSES = "biuOSU"  # kinds of arrays that name classes; a float is a measured value
SEARCHED_AND_JUDGED: tuple[SplitName, ...] = ("validation", "test")


@task(name="preflight", cache_policy=NO_CACHE)
def preflight(model: str, version: str, recipe: Path, workspace: Workspace) -> Job:
    """Read and check recipe, devices, workload and model version.

    Raises ConfigurationError, PreflightError, RegistryError or RegistryUnavailable, each one sentence with a remedy.
    """
    read = read_recipe(recipe)
    if read.model != model:
        raise PreflightError(
            f"{recipe}: key `model`: expected {model}, which is to be compressed, got {read.model}; "
            f"use the recipe of {model}"
        )
    Upstream(workspace.tracking_uri).check(model, version)
    workload, splits, sample = _data(recipe, read)
    for device, found in emulators_for(read.devices, workspace.home).items():
        if isinstance(found, EmulatorMissing):
            logger.warning("%s: its gates on answers will be inconclusive: %s", device, found)
    return Job(model, version, read, workload, splits, workspace, sample)


def check_recipe(path: Path) -> tuple[Recipe, dict[SplitName, Split]]:
    """Read and check a recipe with all that it names, before any model is there."""
    recipe = read_recipe(path)
    return recipe, _data(path, recipe)[1]


def plan_of(path: Path, discordance: float) -> list[tuple[str, list[PlanLine]]]:
    """Return (device, a line per gate) for each device; raises ConfigurationError or PreflightError."""
    recipe, splits = check_recipe(path)
    workload = load_workload(recipe.workload)
    rows, known = labelled_rows(workload, splits["test"]), known_classes(workload, splits)
    return [(device.name, list(plan(recipe.policy(device), rows, discordance, known))) for device in recipe.devices]


def _data(path: Path, recipe: Recipe) -> tuple[Workload, dict[SplitName, Split], DeploymentSample | None]:
    try:
        load_custom_metrics(recipe.gates)
        workload = load_workload(recipe.workload)
        splits = read_splits(workload)
        sample = read_sample(workload, splits) if recipe.representativeness else None
        _warn_of_missing_classes(workload, splits)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    for name in SEARCHED_AND_JUDGED:
        try:
            check_slices(GatePolicy(gates=recipe.gates), splits[name].slices)
        except PolicyError as error:
            raise PreflightError(f"{path}: key `gates`: on the {name} split: {error}") from error
    _warn_of_unseen_classes(path, recipe, workload, splits)
    if (said := unproven(recipe.gates)) is not None:
        logger.warning("%s: key `gates`: %s", path, said)
    return workload, splits, sample


def _warn_of_missing_classes(workload: Workload, splits: Mapping[SplitName, Split]) -> None:
    """Warn of classes that training rows have and calibration rows lack.

    Raises ConfigurationError where Workload.right_answers fails.
    """
    missing = sorted(_classes(workload, splits["train"]) - _classes(workload, splits["calibration"]), key=str)
    if not missing:
        return
    named = ", ".join(str(each) for each in missing[:SHOWN])
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    logger.warning(
        "split `calibration`: expected rows of every class of the train split, got none of %s%s, so that INT8's "
        "ranges are taken without them; add such rows in Workload.split",
        named,
        more,
    )


def _warn_of_unseen_classes(path: Path, recipe: Recipe, workload: Workload, splits: Mapping[SplitName, Split]) -> None:
    """Warn of gates that a class without rows leaves open, on validation or on test."""
    known, policy = known_classes(workload, splits), GatePolicy(gates=recipe.gates)
    for name in SEARCHED_AND_JUDGED:
        for sentence in unseen_classes(policy, labelled_rows(workload, splits[name]), known):
            logger.warning("%s: key `gates`: on the %s split, %s", path, name, sentence)


def _classes(workload: Workload, split: Split) -> set[object]:
    answers = right_answers(workload, split)
    if answers is None or np.asarray(answers).dtype.kind not in CLASSES:
        return set()
    return set(np.asarray(answers).ravel().tolist())
