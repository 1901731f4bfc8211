"""Rows and workloads that several tests of this room start from."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from deployments.workload import Split, SplitName, Workload


def good(rows: int = 6) -> Split:
    """Return a split of two inputs and two slice columns that passes every check."""
    images = np.linspace(0, 1, rows * 4, dtype=np.float32).reshape(rows, 4)
    labels = np.arange(rows, dtype=np.int64) % 2
    return Split((images, labels.copy()), labels, pd.DataFrame({"label": labels, "site": ["n", "s"] * (rows // 2)}))


class Rows(Workload):
    """Four rows; `raising` is raised for the validation split."""

    def __init__(self, raising: Exception | None = None, test_rows: int = 4) -> None:
        self.raising = raising
        self.test_rows = test_rows

    def split(self, name: SplitName) -> Split:
        """Return the rows, or raise."""
        if name == "validation" and self.raising is not None:
            raise self.raising
        targets = np.zeros(self.test_rows if name == "test" else 4, dtype=np.int64)
        return Split((np.ones((4, 3), dtype=np.float32),), targets, pd.DataFrame({"label": [0, 1, 0, 1]}))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy."""
        return torch.nn.functional.cross_entropy(outputs, targets)


def attributes(**said: object) -> Any:
    """Return what a workload says of itself that says nothing but this."""
    names = ("labels", "preprocessing", "group", "output", "ignore_index", "pixels_per_cell", "shared_rows")
    return SimpleNamespace(**{"task": "classification", "written": (), **dict.fromkeys(names)} | said)
