"""The smallest real case: three clouds of points, a network of two layers, a recipe and a device profile for it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deployments.device import DeviceProfile
from deployments.recipe import Recipe, read_recipe
from deployments.workload import Split, SplitName, Workload, read_splits
from tasks.job import Job
from tasks.workspace import Workspace

RECIPE = Path(__file__).parents[1] / "deployments" / "valid" / "smallest.yaml"
FEATURES = 6
LABELS = np.array(["a", "b", "c"])
ROWS: dict[SplitName, int] = {"train": 48, "calibration": 16, "validation": 24, "test": 30}


class Blobs(Workload):
    """Row i is a point of cloud i % 3; sliced by label and by site."""

    def split(self, name: SplitName) -> Split:
        rows = ROWS[name]
        generator = np.random.default_rng(rows)
        labels = np.arange(rows, dtype=np.int64) % len(LABELS)
        points = generator.normal(size=(rows, FEATURES)) + 3 * np.eye(len(LABELS), FEATURES)[labels]
        slices = pd.DataFrame({"label": LABELS[labels], "site": np.arange(rows) % 2})
        return Split((points.astype(np.float32),), labels, slices)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets)


def network(inputs: int = FEATURES) -> nn.Sequential:
    """A network with the same weights at every call."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, len(LABELS))).eval()


def example(rows: int = 2, inputs: int = FEATURES) -> np.ndarray:
    """An input example as an upstream team gives it."""
    return np.zeros((rows, inputs), dtype=np.float32)


def recipe(**changes: Any) -> Recipe:
    """The recipe of tests/deployments, with fields replaced."""
    return read_recipe(RECIPE).model_copy(update=changes)


def device(**changes: Any) -> DeviceProfile:
    """The recipe's device profile, with fields replaced."""
    return recipe().devices[0].model_copy(update=changes)


def job(
    workspace: Workspace, model: str = "tiny", version: str = "1", workload: Workload | None = None, **changes: Any
) -> Job:
    """A job as preflight makes it, without asking the registry; `changes` are the recipe's."""
    workload = workload or Blobs()
    return Job(model, version, recipe(model=model, **changes), workload, read_splits(workload), workspace)
