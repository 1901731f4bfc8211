"""The pipeline itself on a parent: register, prune, search, choose on validation."""

from dataclasses import dataclass

import numpy as np
from torch import nn

from deployments.recipe import Recipe
from deployments.workload import load_workload, read_splits
from tasks.compression import Baseline, Trajectory, measure_baseline, prune
from tasks.errors import RegistryError
from tasks.job import Job
from tasks.registry import Upstream, register_upstream
from tasks.selection import Climb, climb, references
from tasks.upstream import TorchParent, resolve
from tasks.workspace import Workspace


@dataclass(frozen=True)
class Ours:
    """The pipeline's inputs and everything that it made of them."""

    job: Job
    parent: TorchParent
    baseline: Baseline
    trajectory: Trajectory
    climb: Climb


def run(recipe: Recipe, version: str, workspace: Workspace) -> Ours:
    """Answer one registered model with a recipe; what was computed before is not computed again."""
    job, parent, baseline, trajectory = pruned(recipe, version, workspace)
    beside = references(job, parent, baseline, recipe.devices[0])
    return Ours(job, parent, baseline, trajectory, climb.fn(beside, baseline, trajectory))


def pruned(recipe: Recipe, version: str, workspace: Workspace) -> tuple[Job, TorchParent, Baseline, Trajectory]:
    """Do the first half of it: up to the smallest snapshot."""
    workload = load_workload(recipe.workload)
    job = Job(recipe.model, version, recipe, workload, read_splits(workload), workspace)
    parent = resolve.fn(job)
    if not isinstance(parent, TorchParent):
        raise TypeError(f"expected a parent with a torch program, got {type(parent).__name__}")
    baseline = measure_baseline.fn(job, parent)
    return job, parent, baseline, prune.fn(job, parent, baseline)


def registered(recipe: Recipe, model: nn.Module, rows: tuple[np.ndarray, ...], workspace: Workspace) -> str:
    """Return the version of a model; registers it if the registry has none."""
    try:
        return Upstream(workspace.tracking_uri).versions(recipe.model)[-1]
    except RegistryError:
        return register_upstream(workspace.tracking_uri, recipe.model, model, rows, {})
