"""Fashion-MNIST from Debian's package `dataset-fashion-mnist`; its weak class is Shirt."""

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import torch.nn.functional as F
from torch import Tensor

from deployments.errors import ConfigurationError
from deployments.workload import Split, SplitName, Workload

FOLDER = Path("/usr/share/datasets/fashion-mnist")
CLASSES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")
VALIDATION_FROM = 54_000
CALIBRATION_ROWS = 512


class FashionMnist(Workload):
    """60,000 and 10,000 images of 28x28 in [0, 1]; the last 6,000 of the training file are for validation."""

    labels = CLASSES
    preprocessing = "gray values from 0 to 255, divided by 255"

    def __init__(self) -> None:
        images, labels = read_rows("train")
        self.splits = {
            "train": (images[:VALIDATION_FROM], labels[:VALIDATION_FROM]),
            "calibration": (images[:CALIBRATION_ROWS], labels[:CALIBRATION_ROWS]),
            "validation": (images[VALIDATION_FROM:], labels[VALIDATION_FROM:]),
            "test": read_rows("t10k"),
        }

    def split(self, name: SplitName) -> Split:
        """Return the rows of a split."""
        images, labels = self.splits[name]
        return Split((images,), labels, pd.DataFrame({"label": np.array(CLASSES)[labels]}))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy."""
        return F.cross_entropy(outputs, targets)


def read_rows(name: str, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """Return images (rows, 1, 28, 28) in [0, 1] and class numbers (rows,) of one of the two files, train or t10k."""
    images = _idx(f"{name}-images-idx3-ubyte.gz", header=16).reshape(-1, 1, 28, 28)[rows]
    return (images / 255).astype(np.float32), _idx(f"{name}-labels-idx1-ubyte.gz", header=8)[rows].astype(np.int64)


def _idx(name: str, header: int) -> np.ndarray:
    """Read the bytes behind the header of an IDX file."""
    path = Path(os.environ.get("FASHION_MNIST", FOLDER)) / name
    try:
        return np.frombuffer(gzip.decompress(path.read_bytes()), dtype=np.uint8, offset=header)
    except OSError as error:
        raise ConfigurationError(
            f"Fashion-MNIST: expected {path}, got {error}; install Debian's package dataset-fashion-mnist, "
            "or set FASHION_MNIST to the folder that has its files"
        ) from error
