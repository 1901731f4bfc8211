"""Many digits: scikit-learn's images again and again, each time with other noise, in files that are mapped."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch.nn.functional as F
from torch import Tensor

from deployments.workload import Split, SplitName, Workload
from deployments.workloads.digits import Digits

FOLDER = "MANY_DIGITS"
"""Variable with the folder of the files."""
COUNTS: Mapping[SplitName, int] = {"train": 160_000, "validation": 20_000, "test": 20_000}
CALIBRATION_ROWS = 512
NOISE = 0.05  # of the whole range of gray
_AT_ONCE = 10_000


class ManyDigits(Workload):
    """Splits of the digits recipe's shape whose rows stay on disk; each has images of its own writers."""

    def split(self, name: SplitName) -> Split:
        """Return the rows of a split as maps of files."""
        if name == "calibration":
            train = self.split("train")
            chosen = slice(CALIBRATION_ROWS)
            return Split((train.inputs[0][chosen],), train.targets[chosen], train.slices.iloc[chosen])
        images, labels = (np.load(_file(name, part), mmap_mode="r") for part in ("images", "labels"))
        return Split((images,), labels, pd.DataFrame({"label": labels}))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy."""
        return F.cross_entropy(outputs, targets)


def write_rows(counts: Mapping[SplitName, int] = COUNTS) -> None:
    """Write the files of all splits into the folder, some rows at a time."""
    digits, generator = Digits(), np.random.default_rng(0)
    for name, count in counts.items():
        own = digits.rows[name]
        chosen = own[generator.permutation(np.arange(count) % len(own))]
        images = np.lib.format.open_memmap(_file(name, "images"), "w+", np.float32, (count, *digits.images.shape[1:]))
        for start in range(0, count, _AT_ONCE):
            clean = digits.images[chosen[start : start + _AT_ONCE]]
            images[start : start + len(clean)] = clean + NOISE * generator.standard_normal(clean.shape, np.float32)
        images.flush()
        np.save(_file(name, "labels"), digits.targets[chosen])


def _file(name: SplitName, part: str) -> Path:
    return Path(os.environ[FOLDER]) / f"{name}-{part}.npy"
