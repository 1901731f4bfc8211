"""Scikit-learn's packaged table of diabetes patients: a regression, whose scores are errors in the target's own unit.

Source: Efron B, Hastie T, Johnstone I, Tibshirani R. Least angle regression. Annals of Statistics 2004;32:407-499.
"""

import numpy as np
import pandas as pd
import torch.nn.functional as F
from sklearn.datasets import load_diabetes
from torch import Tensor

from deployments.workload import Split, SplitName, Workload

COLUMNS = ("age", "sex", "bmi", "blood pressure", "tc", "ldl", "hdl", "tch", "ltg", "glucose")
FOLDS: dict[SplitName, tuple[int, ...]] = {"train": (0, 1, 2), "validation": (3,), "test": (4, 5)}
"""Of every six patients three are for training, one for validation and two for the test."""


class Diabetes(Workload):
    """442 patients with 10 measured values; the target says how far the disease is a year later, from 25 to 346.

    Sliced by body mass index and age in their own units, so that conditions may be over both.
    """

    task = "regression"

    def __init__(self) -> None:
        table = load_diabetes(scaled=False)
        fold = np.arange(len(table.target)) % 6
        self.rows = {name: np.flatnonzero(np.isin(fold, parts)) for name, parts in FOLDS.items()}
        self.rows["calibration"] = self.rows["train"]
        train = table.data[self.rows["train"]]
        center, spread = train.mean(axis=0), train.std(axis=0)
        self.preprocessing = {"subtract": center.round(4).tolist(), "divide by": spread.round(4).tolist()}
        self.measured = pd.DataFrame(table.data, columns=list(COLUMNS))
        self.values = ((table.data - center) / spread).astype(np.float32)
        self.targets = table.target.astype(np.float32)

    def split(self, name: SplitName) -> Split:
        """Return the rows of a split."""
        rows = self.rows[name]
        slices = self.measured.loc[rows, ["age", "bmi"]].reset_index(drop=True)
        return Split((self.values[rows],), self.targets[rows], slices)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error."""
        return F.mse_loss(outputs.reshape(-1), targets)

    def text(self, split: Split, row: int) -> str:
        """Return the values of a patient, in spreads around the mean."""
        return ", ".join(f"{name} {value:.1f}" for name, value in zip(COLUMNS, split.inputs[0][row], strict=True))
