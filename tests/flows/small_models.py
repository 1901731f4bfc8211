"""Small models of the flows' tests: trained by a workload's own loss, registered, and named in a recipe."""

from typing import Any

import numpy as np
import torch
from torch import nn

from deployments.workload import Workload
from tasks.registry import register_upstream
from tasks.workspace import Workspace


def fitted(model: nn.Sequential, workload: Workload, learning_rate: float, steps: int) -> nn.Sequential:
    """Train a model on all training rows at every step; returns it in evaluation mode."""
    train = workload.split("train")
    rows, truth = torch.from_numpy(train.inputs[0]), torch.from_numpy(train.targets)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        workload.loss(model(rows), truth).backward()
        optimizer.step()
    return model.eval()


def registered(workspace: Workspace, name: str, model: nn.Module, *sizes: int) -> str:
    """Register a version that takes rows of these sizes; returns it."""
    return register_upstream(workspace.tracking_uri, name, model.eval(), np.zeros((2, *sizes), np.float32), {})


def recipe_keys(name: str, workload: type[Workload], gates: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the keys of the tiny recipe for a model of this name."""
    return {"model": name, "workload": f"{workload.__module__}:{workload.__qualname__}", "gates": gates}
