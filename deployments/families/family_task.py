"""One task of a family, and its places in the outputs and targets of all tasks."""

from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from deployments.workload import Workload


@dataclass(frozen=True, eq=False)
class FamilyTask:
    """One task of a family: its workload, which a recipe names by `reference`, and the weight of its loss.

    `outputs` is the shape of a row of its own model's outputs.
    """

    name: str
    reference: str
    workload: Workload
    outputs: tuple[int, ...]
    weight: float = 1.0

    @property
    def size(self) -> int:
        """The numbers that a row of outputs has."""
        return prod(self.outputs)


@dataclass(frozen=True, eq=False)
class PlacedTask:
    """A task with the columns that are its own: of all outputs (rows, total) and of all targets (rows, width).

    `targets` and `dtype` are the shape of a row of its own targets and their type. Where a row is not known to the
    task, its targets are NaN.
    """

    task: FamilyTask
    output_columns: slice
    target_columns: slice
    targets: tuple[int, ...]
    dtype: np.dtype

    def outputs_of(self, outputs: np.ndarray) -> np.ndarray:
        """Return the task's own outputs, as its own model gives them."""
        return outputs[:, self.output_columns].reshape(len(outputs), *self.task.outputs)

    def known(self, targets: np.ndarray) -> np.ndarray:
        """Return a mask (rows,) of the rows that the task knows."""
        return ~np.isnan(targets[:, self.target_columns.start])

    def targets_of(self, targets: np.ndarray) -> np.ndarray:
        """Return the task's own targets of rows that it knows, as its own workload gives them."""
        return targets[:, self.target_columns].reshape(len(targets), *self.targets).astype(self.dtype)

    def output_tensor(self, outputs: Tensor) -> Tensor:
        """Return the task's own outputs, as `outputs_of` does."""
        return outputs[:, self.output_columns].reshape(len(outputs), *self.task.outputs)

    def known_rows(self, targets: Tensor) -> Tensor:
        """Return the numbers of the rows that the task knows."""
        return torch.nonzero(~torch.isnan(targets[:, self.target_columns.start]))[:, 0]

    def target_tensor(self, targets: Tensor) -> Tensor:
        """Return the task's own targets of rows that it knows, as `targets_of` does."""
        kind = torch.from_numpy(np.zeros(0, dtype=self.dtype)).dtype
        return targets[:, self.target_columns].reshape(len(targets), *self.targets).to(kind)
