"""Measured rows in groups that lose together, with a true loss that is known, for simulations of the gates."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from quality_gates.evidence import Evidence, ModelEvidence

Sizes = Literal["equal", "unequal"]
GROUP = "part"
RIGHT = 0.9
"""The share of rows that the reference has right beside those that only one of the models has."""


@dataclass(frozen=True)
class GroupedTruth:
    """Rows in groups: the true shares that only one model has right, and how alike the rows of a group are.

    `alike` is the correlation within a group: at 0 rows are independent, at 1 all rows of a group are answered alike.
    """

    groups: int
    rows: int = 10
    alike: float = 0.2
    lost: float = 0.05
    gained: float = 0.0
    sizes: Sizes = "equal"

    def evidence(self, random: np.random.Generator, group: str | None = GROUP) -> Evidence:
        """Draw the rows of candidate and parent."""
        codes, told = self.rows_told(random)
        n = len(codes)
        both = random.random(n) < RIGHT
        target = random.integers(0, 2, n)
        ours, theirs = np.where(told == 0, both, told == 2), np.where(told == 0, both, told == 1)
        frame = pd.DataFrame({"row_id": np.arange(n), GROUP: codes, "target": target})
        return Evidence(self._model(frame, ours), self._model(frame, theirs), None, group=group)

    def rows_told(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw the group of each row, and 1 where the candidate lost it, 2 where it gained it, else 0."""
        sizes = self._sizes(random)
        return np.repeat(np.arange(self.groups), sizes), self._told(random, sizes)

    def _sizes(self, random: np.random.Generator) -> np.ndarray:
        if self.sizes == "equal":
            return np.full(self.groups, self.rows)
        return np.maximum(1, np.round(self.rows * random.lognormal(-0.5, 1, self.groups))).astype(int)

    def _told(self, random: np.random.Generator, sizes: np.ndarray) -> np.ndarray:
        """Draw 1 for a lost row, 2 for a gained one and 0 for others: Dirichlet-multinomial in each group."""
        shares = np.array([1 - self.lost - self.gained, self.lost, self.gained])
        if self.alike >= 1:
            return np.repeat(random.choice(3, len(sizes), p=shares), sizes)
        if self.alike <= 0:
            return random.choice(3, sizes.sum(), p=shares)
        weights = random.standard_gamma(np.maximum(shares * (1 - self.alike) / self.alike, 1e-9), (len(sizes), 3))
        empty = weights.sum(axis=1) <= 0
        weights[empty] = np.eye(3)[random.choice(3, int(empty.sum()), p=shares)]
        own = np.repeat(weights / weights.sum(axis=1, keepdims=True), sizes, axis=0)
        return (random.random((len(own), 1)) > own.cumsum(axis=1)).sum(axis=1).clip(0, 2)

    def _model(self, frame: pd.DataFrame, right: np.ndarray) -> ModelEvidence:
        said = np.where(right, frame["target"], 1 - frame["target"])
        rows = frame.assign(prediction=said, score=right.astype(float), brier=np.where(right, 0.0, 2.0))
        rows["p(1)"] = np.where(said == 1, 0.9, 0.1)
        return ModelEvidence(rows, None)
