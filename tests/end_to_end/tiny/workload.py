"""scikit-learn's digits, 8x8: 200 rows to train on, the rest to search and to judge."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

from deployments.workload import Split, SplitName, Workload

ROWS: Mapping[SplitName, slice] = {
    "train": slice(0, 200),
    "calibration": slice(0, 64),
    "validation": slice(200, 400),
    "test": slice(400, 700),
}


class Tiny(Workload):
    """Images in [0, 1] of shape (rows, 1, 8, 8); sliced by label."""

    def split(self, name: SplitName) -> Split:
        digits = load_digits()
        images = (digits.images[ROWS[name]] / 16).astype(np.float32)[:, None]
        labels = digits.target[ROWS[name]].astype(np.int64)
        return Split((images,), labels, pd.DataFrame({"label": labels}))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets)
