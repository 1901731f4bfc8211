"""Bright and dark squares in noise: a workload of the task detection, and a network that learns it in a second."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import nn

from deployments.answers import TaskName
from deployments.workload import Split, SplitName, Workload
from tasks.workspace import Workspace
from tests.flows.small_models import fitted, recipe_keys, registered

EDGE, SIDE, CELL = 16, 6, 4
ROWS: dict[SplitName, tuple[int, int]] = {
    "train": (0, 240), "calibration": (0, 32), "validation": (240, 300), "test": (300, 400)
}  # fmt: skip
HELD: dict[str, Any] = {"metric": "mean_score", "confidence": 0.95}
GATES: list[dict[str, Any]] = [
    *(
        HELD | {"kind": "non_inferiority", "name": f"F1 against {against}", "against": against, "margin": 0.1}
        for against in ("parent", "deployed")
    ),
    {"kind": "limit", "name": "recall of dark squares", "metric": "tests.flows.boxes:dark_recall", "better": "higher",
     "at_least": 0.5, "confidence": 0.95},
]  # fmt: skip


def _rows() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    images = generator.normal(0, 0.8, (400, 1, EDGE, EDGE)).astype(np.float32)
    targets = np.full((400, 2, 5), -1, dtype=np.float32)
    for image, boxes in zip(images, targets, strict=True):
        for place in range(int(generator.integers(0, 3))):  # one in each half
            x, y = generator.integers(0, EDGE - SIDE + 1), place * 8 + generator.integers(0, 3)
            kind = int(generator.integers(0, 2))
            image[0, y : y + SIDE, x : x + SIDE] += 1 - 2 * kind
            boxes[place] = (x, y, x + SIDE, y + SIDE, kind)
    return images, targets


class Spots(Workload):
    """Squares of 6x6 pixels, none to two in a row. Its loss is the task's."""

    task: TaskName = "detection"
    labels: Sequence[str] | None = ("bright", "dark")
    pixels_per_cell: int | None = CELL
    images: ClassVar[np.ndarray]
    targets: ClassVar[np.ndarray]
    images, targets = _rows()

    def split(self, name: SplitName) -> Split:
        start, end = ROWS[name]
        return Split((self.images[start:end],), self.targets[start:end], pd.DataFrame(index=range(end - start)))


class SpotsOfSmallCells(Spots):
    """The same, with cells that cover a part of the image alone."""

    pixels_per_cell = 3


class SpotsInverted(Spots):
    """The same, with the sides of boxes in another order."""

    def split(self, name: SplitName) -> Split:
        rows = super().split(name)
        return Split(rows.inputs, rows.targets[..., [2, 1, 0, 3, 4]], rows.slices)


class SpotsOfOneLabel(Spots):
    """The same, with a label for one of the two classes."""

    labels = ("bright",)


class SpotsOfNoTask(Spots):
    """The same, and nothing said of boxes."""

    task = "classification"
    labels = None
    pixels_per_cell = None

    def loss(self, outputs: torch.Tensor, _targets: torch.Tensor) -> torch.Tensor:
        return outputs.mean()


class SpotsOfBadBoxes(Spots):
    """The same, with a hook that returns no scores."""

    def boxes(self, outputs: np.ndarray) -> Any:
        return [(np.zeros((1, 4)), np.zeros(0), np.zeros(1)) for _ in outputs]


def dark_recall(rows: pd.DataFrame) -> float:
    """Return the share of the dark squares that are found."""
    return float(rows["found(dark)"].sum() / rows["true(dark)"].sum())


def network(channels: int = 6, seed: int = 0, stride: int = 2) -> nn.Sequential:
    """Two convolutions, untrained; as floats more than the tiny device takes."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 24, 5, 2, padding=2), nn.ReLU(), nn.Conv2d(24, channels, 5, stride, padding=2)
    ).eval()


def trained(steps: int = 60) -> nn.Sequential:
    """Train on all training rows at every step, by the task's own loss."""
    return fitted(network(), Spots(), 1e-2, steps)


def register(workspace: Workspace, name: str, model: nn.Module) -> str:
    """Register a version; returns it."""
    return registered(workspace, name, model, 1, EDGE, EDGE)


def recipe(name: str, workload: type[Workload] = Spots) -> dict[str, Any]:
    """Keys of the tiny recipe for a model of this name."""
    return recipe_keys(name, workload, GATES)
