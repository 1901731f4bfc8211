"""Labels of channels: numbers that are sent through a graph in place of values, and which of them belong together.

Label 0 stands for what must stay: elements that belong to no channel, and channels that may not go.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

STAYS = 0


class Labels:
    """Labels that were given out, and their classes: labels of one class can only go together."""

    def __init__(self) -> None:
        self._parents = np.zeros(1, dtype=np.int64)
        self.mixed: set[int] = set()

    def fresh(self, count: int) -> Tensor:
        """Give out new labels, shape (count,)."""
        first = len(self._parents)
        self._parents = np.concatenate([self._parents, np.arange(first, first + count)])
        return torch.arange(first, first + count)

    def classes(self, labels: Tensor) -> Tensor:
        """Return the class of each label: the smallest label in it, so that what is joined with 0 stays."""
        while True:
            above = self._parents[self._parents]
            if np.array_equal(above, self._parents):
                return torch.from_numpy(self._parents)[labels]
            self._parents = above

    def join(self, one: Tensor, other: Tensor) -> None:
        """Put the labels at the same places of two tensors of one shape into one class."""
        differ = one != other
        if differ.any():
            pairs = torch.stack([one[differ], other[differ]], 1).unique(dim=0)
            for first, second in pairs.tolist():
                self._join(first, second)

    def stay(self, labels: Tensor) -> None:
        """Let labels stay."""
        for label in labels.unique().tolist():
            self._join(label, STAYS)

    def mix(self, labels: Tensor) -> None:
        """Note labels that a norm reads together: each depends a little on which others are there."""
        self.mixed |= set(labels.unique().tolist())

    def is_mixed(self, classes: Iterable[int]) -> bool:
        """Tell whether a norm reads any label of these classes together with others."""
        mixed = self.classes(torch.tensor(sorted(self.mixed), dtype=torch.int64)).tolist()
        return bool(set(mixed) & set(classes))

    def slab(self, labels: Tensor, dim: int) -> Tensor:
        """Join all labels at one place of a dimension, for each of its places; returns their classes."""
        rows = self.classes(labels).movedim(dim, 0).reshape(labels.shape[dim], -1)
        self.join(rows, rows[:, :1].expand_as(rows))
        return self.classes(rows[:, 0])

    def _join(self, one: int, other: int) -> None:
        one, other = self._root(one), self._root(other)
        self._parents[max(one, other)] = min(one, other)

    def _root(self, label: int) -> int:
        while self._parents[label] != label:
            label = int(self._parents[label])
        return label


def varying(labels: Tensor) -> list[int]:
    """Return the dimensions along which labels differ."""
    return [
        dim for dim, size in enumerate(labels.shape) if size > 1 and bool((labels != labels.narrow(dim, 0, 1)).any())
    ]
