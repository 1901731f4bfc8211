"""scikit-learn's digits, 8x8: 200 rows to train on, the rest to search and to judge."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

from deployments.workload import DeploymentSample, Split, SplitName, Workload

AT_THE_SITES = slice(700, 1000)  # rows that no split has

ROWS: Mapping[SplitName, slice] = {
    "train": slice(0, 200),
    "calibration": slice(0, 64),
    "validation": slice(200, 400),
    "test": slice(400, 700),
}


class Tiny(Workload):
    """Images in [0, 1] of shape (rows, 1, 8, 8); sliced by label."""

    def split(self, name: SplitName) -> Split:
        images, labels = _digits(ROWS[name])
        return Split((images,), labels, pd.DataFrame({"label": labels}))

    def deployment_sample(self) -> DeploymentSample:
        images, labels = _digits(AT_THE_SITES)
        return DeploymentSample((images,), pd.DataFrame({"label": labels}), labels)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets)


def _digits(rows: slice) -> tuple[np.ndarray, np.ndarray]:
    digits = load_digits()
    return (digits.images[rows] / 16).astype(np.float32)[:, None], digits.target[rows].astype(np.int64)
