"""Masks of bright squares in noise: a workload of the task segmentation, and a network that learns it in a second."""

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

EDGE = 8
ROWS: dict[SplitName, tuple[int, int]] = {
    "train": (0, 160), "calibration": (0, 32), "validation": (160, 200), "test": (200, 280)
}  # fmt: skip
IGNORED = 9
TOP: dict[str, Any] = {"slice": {"column": "place", "equals": "top"}}
HELD: dict[str, Any] = {"metric": "mean_score", "confidence": 0.95}
GATES: list[dict[str, Any]] = [
    *(
        HELD | {"kind": "non_inferiority", "name": f"overlap against {against}", "against": against, "margin": 0.1}
        for against in ("parent", "deployed")
    ),
    HELD | TOP | {"kind": "non_inferiority", "name": "overlap at the top", "against": "parent", "margin": 0.1},
    HELD | TOP | {"kind": "limit", "name": "overlap at the top at least", "at_least": 0.5},
]


def _rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    images = generator.normal(0, 0.6, (280, 1, EDGE, EDGE)).astype(np.float32)
    masks, places = np.zeros((280, EDGE, EDGE), dtype=np.int64), generator.integers(0, EDGE - 3, (280, 2))
    for image, mask, (down, across) in zip(images, masks, places, strict=True):
        image[0, down : down + 4, across : across + 4] += 1
        mask[down : down + 4, across : across + 4] = 1
    masks[:, -1, -1] = IGNORED
    return images, masks, np.where(places[:, 0] < 2, "top", "below")


class Squares(Workload):
    """Squares of 4x4 pixels; one corner of each row counts nowhere. Its loss is the task's."""

    task: TaskName = "segmentation"
    labels: Sequence[str] | None = ("background", "square")
    ignore_index: int | None = IGNORED
    images: ClassVar[np.ndarray]
    masks: ClassVar[np.ndarray]
    places: ClassVar[np.ndarray]
    images, masks, places = _rows()

    def split(self, name: SplitName) -> Split:
        start, end = ROWS[name]
        slices = pd.DataFrame({"place": self.places[start:end]})
        return Split((self.images[start:end],), self.masks[start:end], slices)


class SquaresOfNoIgnored(Squares):
    """The same, and nothing said of the corner."""

    ignore_index = None


class SquaresOfNoTask(Squares):
    """The same, and nothing said of masks."""

    task = "classification"
    labels = None
    ignore_index = None

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs, targets)


def network(channels: int = 2, stride: int = 1, seed: int = 0) -> nn.Sequential:
    """Two convolutions, untrained; as floats more than the tiny device takes."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 96, 3, padding=1), nn.ReLU(), nn.Conv2d(96, channels, 3, stride, padding=1)
    ).eval()


def trained(channels: int = 2, steps: int = 40) -> nn.Sequential:
    """Train on all training rows at every step, by the task's own loss."""
    return fitted(network(channels), Squares(), 3e-2, steps)


def register(workspace: Workspace, name: str, model: nn.Module) -> str:
    """Register a version; returns it."""
    return registered(workspace, name, model, 1, EDGE, EDGE)


def recipe(name: str, workload: type[Workload] = Squares) -> dict[str, Any]:
    """Keys of the tiny recipe for a model of this name."""
    return recipe_keys(name, workload, GATES)
