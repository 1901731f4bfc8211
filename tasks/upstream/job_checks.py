"""Everything that can be wrong with model, recipe and workload is said before any long work starts."""

import logging
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.errors import ConfigurationError
from deployments.functions import load_functions
from deployments.recipe import Recipe, read_recipe
from deployments.workload import DeploymentSample, Split, SplitName, Workload, load_workload, read_sample, read_splits
from quality_gates.errors import PolicyError
from quality_gates.gates import GatePolicy, check_slices
from tasks.emulation import emulators_for
from tasks.errors import EmulatorMissing, PreflightError
from tasks.job import Job
from tasks.registry import Upstream
from tasks.upstream.calibration_classes import warn_of_missing_classes
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
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


def _data(path: Path, recipe: Recipe) -> tuple[Workload, dict[SplitName, Split], DeploymentSample | None]:
    try:
        load_functions(recipe.gates)
        workload = load_workload(recipe.workload)
        splits = read_splits(workload)
        sample = read_sample(workload, splits) if recipe.representativeness else None
        warn_of_missing_classes(workload, splits)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    for name in SEARCHED_AND_JUDGED:
        try:
            check_slices(GatePolicy(gates=recipe.gates), splits[name].slices)
        except PolicyError as error:
            raise PreflightError(f"{path}: key `gates`: on the {name} split: {error}") from error
    return workload, splits, sample
