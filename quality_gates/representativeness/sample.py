"""Rows as the comparison sees them: what the parent makes of them, their labels where known, and their slices."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import softmax

POINTS = 2  # decimals


@dataclass(frozen=True)
class Sample:
    """One array per kind of figure, all of the same rows.

    `outputs` (rows, ...) are the parent's raw outputs, `predictions` (rows, ...) what it answers, `targets` (rows, ...)
    the labels or None where they are not known, `slices` a frame with a row for each.
    """

    outputs: np.ndarray
    predictions: np.ndarray
    targets: np.ndarray | None
    slices: pd.DataFrame

    def __len__(self) -> int:
        return len(self.outputs)

    def where(self, mask: np.ndarray) -> "Sample":
        """The rows of a mask."""
        targets = None if self.targets is None else self.targets[mask]
        return Sample(self.outputs[mask], self.predictions[mask], targets, self.slices[mask])

    def in_slices(self, column: str) -> Iterator[tuple[object, np.ndarray]]:
        """Yield the values of a slice column, each with the mask of its rows; gaps are a value of their own."""
        codes, values = pd.factorize(self.slices[column], use_na_sentinel=False)
        for code, value in enumerate(values):
            yield value, codes == code

    def probabilities(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """The outputs as comparable figures (rows, figures) and their names.

        Class scores (rows, classes, ...) become probabilities, averaged over further axes, and the largest of them, in
        whole points: ranks would take 0.00001 and 0.001 for as far apart as 0 and 1. Anything else stays what it is.
        """
        outputs = self.outputs.astype(float)
        if outputs.ndim < 2 or outputs.shape[1] < 2:
            return outputs.reshape(len(outputs), -1), ("the output",)
        shares = outputs if _are_shares(outputs) else softmax(outputs, axis=1)
        shares = shares.reshape(*shares.shape[:2], -1)
        figures = np.column_stack([shares.mean(axis=2), shares.max(axis=1).mean(axis=1)])
        return figures.round(POINTS), (
            *(f"the probability of class {index}" for index in range(shares.shape[1])),
            "the confidence",
        )


def is_categorical(values: np.ndarray) -> bool:
    """Whether values (rows,) are classes, of which shares can be compared, and not measurements."""
    return values.ndim == 1 and values.dtype.kind in "biuOSU"


def _are_shares(outputs: np.ndarray) -> bool:
    return bool((outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3))
