"""NASA's Shuttle telemetry from Debian's package `r-cran-mlbench`; its rare classes are what the gates look at."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from deployments.errors import ConfigurationError
from deployments.leaks import rows_not_in
from deployments.workload import Split, SplitName, Workload

FILE = Path("/usr/lib/R/site-library/mlbench/data/Shuttle.rda")
CLASSES = ("Rad.Flow", "Fpv.Close", "Fpv.Open", "High", "Bypass", "Bpv.Close", "Bpv.Open")
SENSORS = tuple(f"V{number}" for number in range(1, 10))
CALIBRATION_ROWS = 1024


class Shuttle(Workload):
    """58,000 moments of 9 sensor values. Of every five rows two are for training, one for validation, two for the test.

    Rows with the same values as a test row are in the test alone, and those of a validation row not in training.

    The rarest classes have 10 and 13 rows in all: too few for a gate. Fpv.Close has 50, Fpv.Open 171.
    """

    labels = CLASSES

    def __init__(self) -> None:
        values, self.targets = _read()
        fold = np.arange(len(values)) % 5
        self.rows = {
            "train": np.flatnonzero(fold < 2),
            "validation": np.flatnonzero(fold == 2),
            "test": np.flatnonzero(fold > 2),
        }
        counts = np.bincount(self.targets[self.rows["train"]], minlength=len(CLASSES))
        self.weights = torch.from_numpy(np.sqrt(counts.max() / counts)).float()  # a rare state weighs more, not all
        train = values[self.rows["train"]]
        center, spread = np.median(train, axis=0), np.maximum(1, np.percentile(abs(train), 99, axis=0))
        self.preprocessing = {"subtract": center.tolist(), "divide by": spread.tolist(), "clip to": [-4, 4]}
        self.values = np.clip((values - center) / spread, -4, 4).astype(np.float32)  # some sensors have wild outliers
        self._drop_shared_rows()
        self.rows["calibration"] = self.rows["train"][:CALIBRATION_ROWS]

    def _drop_shared_rows(self) -> None:
        inputs = {name: (self.values[rows],) for name, rows in self.rows.items()}
        judged = {"train": ("validation", "test"), "validation": ("test",)}
        for name, by in judged.items():
            self.rows[name] = self.rows[name][rows_not_in(inputs[name], *(inputs[other] for other in by))]

    def split(self, name: SplitName) -> Split:
        """Return the rows of a split."""
        rows = self.rows[name]
        labels = self.targets[rows]
        return Split((self.values[rows],), labels, pd.DataFrame({"state": np.array(CLASSES)[labels]}))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy, in which rare states weigh more."""
        return F.cross_entropy(outputs, targets, weight=self.weights)

    def text(self, split: Split, row: int) -> str:
        """Return the sensor values of a row."""
        return ", ".join(f"{name} {value:.2f}" for name, value in zip(SENSORS, split.inputs[0][row], strict=True))


def _read() -> tuple[np.ndarray, np.ndarray]:
    path = Path(os.environ.get("SHUTTLE", FILE))
    try:
        import rdata

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the file does not say its encoding
            frame = rdata.read_rda(path)["Shuttle"]
    except (ImportError, OSError) as error:
        raise ConfigurationError(
            f"Shuttle: expected {path} and the package rdata to read it, got {error}; run make shuttle, which installs "
            "rdata, after installing Debian's package r-cran-mlbench, or set SHUTTLE to its file Shuttle.rda"
        ) from error
    labels = frame["Class"].map({name: index for index, name in enumerate(CLASSES)}).to_numpy(dtype=np.int64)
    return frame[list(SENSORS)].to_numpy(dtype=np.float64), labels
