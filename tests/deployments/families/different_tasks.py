"""Three tasks of different kinds on small images, some of them the same images: classes, a value and masks."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from deployments.families import FamilyTask, JointWorkload
from deployments.workload import Split, SplitName, Workload

ROWS: dict[SplitName, int] = {"train": 24, "calibration": 8, "validation": 12, "test": 16}
SIZE = 4
STARTS: dict[SplitName, int] = {"train": 0, "calibration": 0, "validation": 1_000, "test": 2_000}


def images(split: SplitName, first: int, count: int) -> np.ndarray:
    """Return images (count, 1, 4, 4); the same numbers are the same images."""
    numbers = range(STARTS[split] + first, STARTS[split] + first + count)
    return np.stack([np.random.default_rng(number).random((1, SIZE, SIZE)) for number in numbers]).astype(np.float32)


class Images(Workload):
    """Images from `first` on; `extra` more than the others have."""

    preprocessing = "as they are"
    first = 0
    extra = 0

    def rows(self, name: SplitName) -> np.ndarray:
        return images(name, self.first, ROWS[name] + self.extra)


class Bright(Images):
    """Tells which of three parts of an image is bright.

    More is said below.
    """

    labels: Sequence[str] = ("left", "right", "none")

    def split(self, name: SplitName) -> Split:
        """The label is of the number of the image, so that all splits have all classes."""
        rows = self.rows(name)
        label = np.arange(self.first, self.first + len(rows)) % 3
        slices = pd.DataFrame({"label": np.array(self.labels)[label], "site": label % 2})
        return Split((rows,), label.astype(np.int64), slices)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy, of class numbers of the type that this workload gave."""
        assert outputs.shape[1:] == (3,) and targets.dtype is torch.int64
        return F.cross_entropy(outputs, targets)


class Mean(Images):
    """Tells the mean of an image, of later images and more of them."""

    task = "regression"
    first = 6
    extra = 4

    def split(self, name: SplitName) -> Split:
        """The mean in one column."""
        rows = self.rows(name)
        return Split((rows,), rows.mean(axis=(1, 2, 3))[:, None], pd.DataFrame({"size": np.arange(len(rows)) / 10}))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the squared error."""
        assert outputs.shape == targets.shape and targets.dtype is torch.float32
        return F.mse_loss(outputs, targets)


class Masks(Images):
    """Tells the class of each pixel."""

    task = "segmentation"
    labels = ("left", "right")
    ignore_index = 9

    def split(self, name: SplitName) -> Split:
        """Bright pixels are right ones; the first pixel counts nowhere."""
        rows = self.rows(name)
        masks = (rows[:, 0] > 0.5).astype(np.int64)
        masks[:, 0, 0] = 9
        return Split((rows,), masks, pd.DataFrame({"label": np.arange(len(rows))}))


OUTPUTS: dict[str, tuple[int, ...]] = {"bright": (3,), "mean": (1,), "masks": (2, SIZE, SIZE)}
WEIGHTS = {"bright": 1.0, "mean": 0.5, "masks": 2.0}
TOTAL = 3 + 1 + 2 * SIZE * SIZE


def family(**kinds: Workload) -> JointWorkload:
    """The three tasks as one workload; `kinds` takes the place of some."""
    workloads: dict[str, Workload] = {"bright": Bright(), "mean": Mean(), "masks": Masks()} | kinds
    return JointWorkload([
        FamilyTask(name, f"{__name__}:{type(each).__name__}", each, OUTPUTS[name], WEIGHTS[name])
        for name, each in workloads.items()
    ])  # fmt: skip


def outputs_for(rows: int, seed: int = 0) -> np.ndarray:
    """Outputs of all three heads."""
    return np.random.default_rng(seed).normal(size=(rows, TOTAL)).astype(np.float32)


class Grouped(Bright):
    """Bright with groups of four neighbours."""

    group = "patient"

    def split(self, name: SplitName) -> Split:
        """Neighbours are of one patient."""
        split = super().split(name)
        patients = [f"{name}-{(self.first + row) // 4}".replace("calibration", "train") for row in range(len(split))]
        return Split(split.inputs, split.targets, split.slices.assign(patient=patients))
