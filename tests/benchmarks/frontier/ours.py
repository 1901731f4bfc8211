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
from tasks.reporting import open_run
from tasks.selection import Climb, DeviceTrials, climb, references
from tasks.upstream import Context, TorchParent, resolve
from tasks.workspace import Workspace


@dataclass(frozen=True)
class Ours:
    """The pipeline's inputs and everything that it made of them."""

    context: Context
    baseline: Baseline
    trajectory: Trajectory
    climb: Climb

    @property
    def job(self) -> Job:
        """The version, the recipe and the data."""
        return self.context.job

    @property
    def parent(self) -> TorchParent:
        """The registered model."""
        return self.context.torch_parent


def run(recipe: Recipe, version: str, workspace: Workspace) -> Ours:
    """Answer one registered model with a recipe; what was computed before is not computed again."""
    context, baseline, trajectory = pruned(recipe, version, workspace)
    device = context.on(recipe.devices[0])
    trials = DeviceTrials(references(device, baseline))
    return Ours(context, baseline, trajectory, climb.fn(device, trials, baseline, trajectory))


def pruned(recipe: Recipe, version: str, workspace: Workspace) -> tuple[Context, Baseline, Trajectory]:
    """Do the first half of it: up to the smallest snapshot."""
    workload = load_workload(recipe.workload)
    job = Job(recipe.model, version, recipe, workload, read_splits(workload), workspace)
    context = Context(job, resolve.fn(job), *open_run(job))
    baseline = measure_baseline.fn(context)
    return context, baseline, prune.fn(context, baseline)


def registered(recipe: Recipe, model: nn.Module, rows: tuple[np.ndarray, ...], workspace: Workspace) -> str:
    """Return the version of a model; registers it if the registry has none."""
    try:
        return Upstream(workspace.tracking_uri).versions(recipe.model)[-1]
    except RegistryError:
        return register_upstream(workspace.tracking_uri, recipe.model, model, rows, {})
