"""Labels of channels: numbers that are sent through a graph in place of values, and which of them belong together.

Label 0 stands for what must stay: elements that belong to no channel, and channels that may not go. Labels that are
the same along a dimension are kept as views without memory there, so that a walk costs what the channels cost and not
what the activations cost.
"""

from collections.abc import Collection, Iterable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

STAYS = 0


class Labels:
    """Labels that were given out, and their classes: labels of one class can only go together."""

    def __init__(self) -> None:
        self._parents = np.zeros(1, dtype=np.int64)
        self.mixed: set[int] = set()
        self.joined = 0

    def fresh(self, count: int) -> Tensor:
        """Give out new labels, shape (count,)."""
        first = len(self._parents)
        self._parents = np.concatenate([self._parents, np.arange(first, first + count)])
        return torch.arange(first, first + count)

    def classes(self, labels: Tensor) -> Tensor:
        """Return the class of each label: the smallest label in it, so that what is joined with 0 stays."""
        small = without_copies(labels)
        return torch.from_numpy(self._roots(small.reshape(-1).numpy())).view(small.shape).expand(labels.shape)

    def join(self, one: Tensor, other: Tensor) -> None:
        """Put the labels at the same places of two tensors of one shape into one class."""
        one, other = _without_common_copies(one, other)
        differ = one != other
        if differ.any():
            self._join(one[differ].numpy(), other[differ].numpy())

    def stay(self, labels: Tensor) -> None:
        """Let labels stay."""
        small = without_copies(labels)
        self.join(small, torch.zeros_like(small))

    def mix(self, labels: Tensor) -> None:
        """Note labels that a norm reads together: each depends a little on which others are there."""
        self.mixed |= set(without_copies(labels).unique().tolist())

    def is_mixed(self, classes: Iterable[int]) -> bool:
        """Tell whether a norm reads any label of these classes together with others."""
        mixed = self.classes(torch.tensor(sorted(self.mixed), dtype=torch.int64)).tolist()
        return bool(set(mixed) & set(classes))

    def slab(self, labels: Tensor, dim: int) -> Tensor:
        """Join all labels at one place of a dimension, for each of its places; returns their classes."""
        small = without_copies(self.classes(labels))
        rows = small.movedim(dim, 0).reshape(small.shape[dim], -1)
        self.join(rows, rows[:, :1].expand_as(rows))
        return self.classes(rows[:, 0]).expand(labels.shape[dim])

    def along(self, labels: Tensor, dim: int) -> Tensor:
        """Join all labels along a dimension; returns the classes of all, which are then the same along it."""
        small = without_copies(self.classes(labels))
        self.join(small, small.narrow(dim, 0, 1).expand_as(small))
        return self.classes(small.narrow(dim, 0, 1)).expand(labels.shape)

    def _join(self, ones: np.ndarray, others: np.ndarray) -> None:
        """Join pairs by pointing the larger root of each at the smallest that it meets, until none differ."""
        while True:
            ones, others = self._roots(ones), self._roots(others)
            differ = ones != others
            if not differ.any():
                return
            self.joined += 1
            ones, others = ones[differ], others[differ]
            np.minimum.at(self._parents, np.maximum(ones, others), np.minimum(ones, others))

    def _roots(self, labels: np.ndarray) -> np.ndarray:
        roots: np.ndarray = self._parents[labels]
        while True:
            above = self._parents[roots]
            if np.array_equal(above, roots):
                self._parents[labels] = roots
                return roots
            roots = above


def varying(labels: Tensor) -> list[int]:
    """Return the dimensions along which labels differ."""
    small = without_copies(labels)
    return [dim for dim, size in enumerate(small.shape) if size > 1 and bool((small != small.narrow(dim, 0, 1)).any())]


def without_copies(labels: Tensor) -> Tensor:
    """Return the labels with one place of each dimension that a view repeats."""
    for dim, (size, stride) in enumerate(zip(labels.shape, labels.stride(), strict=True)):
        if size > 1 and stride == 0:
            labels = labels.narrow(dim, 0, 1)
    return labels


def are_among(labels: Tensor, classes: Collection[int]) -> Tensor:
    """Return a mask of the labels that are among some classes, which may be many and are asked for again and again."""
    table = _table(frozenset(classes))
    return table[labels.clamp(max=len(table) - 1)]


@lru_cache(maxsize=2)
def _table(classes: frozenset[int]) -> Tensor:
    """Return a mask of all classes up to the largest of these, and one more for those beyond."""
    table = torch.zeros(max(classes, default=0) + 2, dtype=torch.bool)
    table[list(classes)] = True
    return table


def as_copies(labels: Tensor) -> Tensor:
    """Return the same labels as a view that repeats one place of each dimension along which they are the same."""
    differ, shape = varying(labels), labels.shape
    for dim in range(labels.dim()):
        if dim not in differ and labels.shape[dim] > 1:
            labels = labels.narrow(dim, 0, 1)
    return labels.clone().expand(shape)


def _without_common_copies(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    for dim, size in enumerate(one.shape):
        if size > 1 and one.stride(dim) == 0 == other.stride(dim):
            one, other = one.narrow(dim, 0, 1), other.narrow(dim, 0, 1)
    return one, other
