"""scikit-learn's digits with a rare class: only 13 images of an 8 to train on."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

from deployments.workload import Split, SplitName, Workload

RARE_DIGIT = 8
RARE_TRAINING_IMAGES = 13
TRAINING_ROWS = 1100  # rows are in the order of their writers: later rows are other hands
SEARCH_ROWS = 1340
CALIBRATION_ROWS = 256
JITTERED_COPIES = 2
JITTERED_RARE_COPIES = 20
JITTER_SEED = 7


class Digits(Workload):
    """1,797 images of 8x8 in [0, 1], split by file order; the eights kept from training help to judge."""

    preprocessing = "gray values from 0 to 16, divided by 16"

    def __init__(self) -> None:
        digits = load_digits()
        self.images = (digits.images / 16).astype(np.float32)[:, None]
        self.targets = digits.target.astype(np.int64)
        self.rows = split_rows(self.targets)

    def split(self, name: SplitName) -> Split:
        """Return the rows of a split."""
        rows = self.rows[name]
        images, labels = self.images[rows], self.targets[rows]
        if name == "train":
            images, labels = with_jitter(images, labels)
        return Split((images,), labels, pd.DataFrame({"label": labels}))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy."""
        return F.cross_entropy(outputs, targets)


def split_rows(labels: np.ndarray) -> Mapping[SplitName, np.ndarray]:
    """Return the row numbers of each split: file order, eights thinned to 13 in training.

    Of the eights that training does not see, every second one goes to validation and the others to test.
    """
    every = np.arange(len(labels))
    early = every[:TRAINING_ROWS]
    rare = early[labels[early] == RARE_DIGIT]
    kept, spared = rare[:RARE_TRAINING_IMAGES], rare[RARE_TRAINING_IMAGES:]
    train = np.sort(np.concatenate([early[labels[early] != RARE_DIGIT], kept]))
    return {
        "train": train,
        "calibration": train[:CALIBRATION_ROWS],
        "validation": np.concatenate([every[TRAINING_ROWS:SEARCH_ROWS], spared[::2]]),
        "test": np.concatenate([every[SEARCH_ROWS:], spared[1::2]]),
    }


def with_jitter(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add slightly turned, moved and scaled copies, more of the rare digit; the same ones at every call."""
    generator = torch.Generator().manual_seed(JITTER_SEED)
    originals = torch.from_numpy(images)
    rare = originals[torch.from_numpy(labels == RARE_DIGIT)]
    copies = [jitter(originals, generator) for _ in range(JITTERED_COPIES)]
    more = [jitter(rare, generator) for _ in range(JITTERED_RARE_COPIES)]
    targets = [np.tile(labels, JITTERED_COPIES + 1), np.full(len(rare) * JITTERED_RARE_COPIES, RARE_DIGIT)]
    return torch.cat([originals, *copies, *more]).numpy(), np.concatenate(targets)


def jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn by up to 14 degrees, move by up to 1 pixel, scale by up to 15 %."""

    def uniform(bound: float) -> Tensor:
        return (torch.rand(len(images), generator=generator) * 2 - 1) * bound

    angle, scale = uniform(0.25), 1 + uniform(0.15)
    across = torch.stack([angle.cos() * scale, -angle.sin() * scale, uniform(0.24)], dim=1)
    down = torch.stack([angle.sin() * scale, angle.cos() * scale, uniform(0.24)], dim=1)
    grid = F.affine_grid(torch.stack([across, down], dim=1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)
