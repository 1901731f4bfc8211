"""Versions of one small model, pruned by two rounds, for tests of structures that are taken on."""

from typing import Any

from torch import nn

from tasks.compression import Baseline, measure_baseline
from tasks.job import Job
from tasks.registry import register_upstream
from tasks.upstream import Context, resolve
from tasks.workspace import Workspace
from tests.tasks import tiny
from tests.tasks.builders import context


def pruned_job(workspace: Workspace, model: str = "tiny", version: str = "1", **changes: Any) -> Job:
    """A job whose budget no file keeps, so that both rounds are taken; `changes` are the recipe's."""
    prune = tiny.recipe().prune.model_copy(update={"round_to": 1, "accuracy_floor": 1.0})
    device = tiny.device(budgets=tiny.device().budgets.model_copy(update={"size_kb": 0.1}))
    return tiny.job(workspace, model, version, **{"prune": prune, "devices": (device,), **changes})


def started(job: Job) -> tuple[Context, Baseline]:
    """The version's context and its baseline."""
    begun = context(job, resolve.fn(job))
    return begun, measure_baseline.fn(begun)


def register(workspace: Workspace, model: str, network: nn.Module) -> str:
    """Register a version; returns its number."""
    return register_upstream(workspace.tracking_uri, model, network.eval(), tiny.example(), {"epochs": 1})
