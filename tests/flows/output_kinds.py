"""Workloads and networks for each kind of output: eight numbers come in, and what they say is learnt in a second."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deployments.answers import TaskName
from deployments.workload import Split, SplitName, Workload
from tasks.workspace import Workspace
from tests.flows.small_models import fitted, recipe_keys, registered

FEATURES = 8
ROWS: dict[SplitName, tuple[int, int]] = {
    "train": (0, 400), "calibration": (0, 64), "validation": (400, 600), "test": (600, 1000)
}  # fmt: skip
POINTS = np.random.default_rng(0).normal(size=(1000, FEATURES)).astype(np.float32)
GATE: dict[str, Any] = {"kind": "non_inferiority", "confidence": 0.95}
ACCURACY = [
    {**GATE, "name": f"accuracy against {against}", "metric": "accuracy", "against": against, "margin": 0.1}
    for against in ("parent", "deployed")
]
ERROR = [
    {**GATE, "name": f"error against {against}", "metric": "mae", "against": against, "margin": 0.2}
    for against in ("parent", "deployed")
]


class Points(Workload):
    """Points around zero; sliced by the sign of their first number."""

    truth: ClassVar[np.ndarray]

    def split(self, name: SplitName) -> Split:
        start, end = ROWS[name]
        points = POINTS[start:end]
        return Split((points,), self.truth[start:end], pd.DataFrame({"side": points[:, 0] > 0}))


class OneLogit(Points):
    """One logit: whether the sum is above zero, and nothing said of it."""

    truth = (POINTS.sum(axis=1) > 0).astype(np.int64)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs.reshape(-1), targets.float())


class Binary(OneLogit):
    """The same, said to be binary, with names."""

    task: TaskName = "binary"
    labels = ("below", "above")


class Labels(Points):
    """Three labels: which of the first three numbers are above zero."""

    task: TaskName = "multi_label"
    labels: Sequence[str] | None = ("first", "second", "third")
    truth = (POINTS[:, :3] > 0).astype(np.float32)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs, targets)


class LabelsOfNoTask(Labels):
    """The same, and nothing said of it."""

    task: TaskName = "classification"
    labels = None


class Values(Points):
    """The sum of the first three numbers."""

    task: TaskName = "regression"
    truth = POINTS[:, :3].sum(axis=1)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs.reshape(-1), targets)


class ValuesOfNoTask(Values):
    """The same, and nothing said of it."""

    task: TaskName = "classification"


class Vectors(Values):
    """The first three numbers as a vector."""

    task: TaskName = "embedding"
    truth = POINTS[:, :3].copy()

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs, targets)


class Shouting(Values):
    """Errors as scores, the larger the worse."""

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return np.asarray(abs(outputs.reshape(-1) - targets))


class Silent(Binary):
    """A score that says the same of every answer."""

    def score(self, outputs: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.full(len(outputs), 0.5)


class OwnWithoutTask(Binary):
    """Functions of its own for one logit, and no task that would say how to distil it."""

    task: TaskName = "own"

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        return np.asarray(outputs.reshape(-1) > 0).astype(np.int64)

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return (self.predictions(outputs) == targets).astype(float)


def mean_score(rows: pd.DataFrame) -> float:
    """Return the mean score: a metric of gates."""
    return float(rows["score"].mean())


def network(columns: int, seed: int = 0) -> nn.Sequential:
    """A network of two layers, untrained."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.Linear(16, columns)).eval()


def trained(workload: Points, columns: int, steps: int = 150) -> nn.Sequential:
    """Train on all training rows at every step."""
    return fitted(network(columns), workload, 2e-2, steps)


def register(workspace: Workspace, name: str, model: nn.Module) -> str:
    """Register a version; returns it."""
    return registered(workspace, name, model, FEATURES)


def recipe(name: str, workload: type[Points], gates: list[dict[str, Any]]) -> dict[str, Any]:
    """Keys of the tiny recipe for a model of this name."""
    return recipe_keys(name, workload, gates)
