"""Custom metrics over one model's rows, with bounds from the bootstrap."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from quality_gates.errors import EvidenceError
from quality_gates.evidence import RowsMetric, one_side
from quality_gates.statistics.bootstrap import Floats

DRAWS = 500
JACKKNIFE_GROUPS = 50
_SEED = 20_120_314


@dataclass(frozen=True)
class PairedCustomMetric:
    """A custom metric on the rows of both models; every sample is drawn once, for both of them."""

    function: RowsMetric
    name: str
    sign: int
    rows: pd.DataFrame

    @property
    def n(self) -> int:
        """The number of rows."""
        return len(self.rows)

    @cached_property
    def values(self) -> tuple[float, float]:
        """The function's values for (candidate, reference) on all rows."""
        return self._both(np.arange(self.n))

    def gain_bounds(self, confidence: float) -> tuple[float, float]:
        """Return one-sided bounds of the candidate's gain, positive where it is better."""
        return self._bounds(lambda both: self.sign * (both[..., 0] - both[..., 1]), confidence)

    def own_bounds(self, confidence: float) -> tuple[float, float]:
        """Return one-sided bounds of the candidate's value."""
        return self._bounds(lambda both: both[..., 0], confidence)

    def gain_spread(self) -> float:
        """Return the standard error of the gain."""
        return float((self._drawn[:, 0] - self._drawn[:, 1]).std())

    def _bounds(self, figure: Callable[[Floats], Floats], confidence: float) -> tuple[float, float]:
        estimate, drawn = float(figure(np.array(self.values))), figure(self._drawn)
        z = NormalDist().inv_cdf(confidence)
        if not drawn.std() > 0:  # no row made a difference: as for shares, of which none was seen to differ
            reach = max(map(abs, (*self.values, 1e-12))) * z * z / (self.n + z * z)
            return estimate - reach, estimate + reach
        share = (drawn < estimate).mean() + (drawn == estimate).mean() / 2
        bias = float(ndtri(np.clip(share, 0.5 / DRAWS, 1 - 0.5 / DRAWS)))
        left_out = figure(self._jackknife)
        deviation = left_out.mean() - left_out
        squares = float((deviation**2).sum())
        curve = float((deviation**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
        low, high = (ndtr(bias + (bias + tail) / max(1 - curve * (bias + tail), 0.1)) for tail in (-z, z))
        return float(np.quantile(drawn, low, method="lower")), float(np.quantile(drawn, high, method="higher"))

    @cached_property
    def _sorted(self) -> pd.DataFrame:
        return self.rows.iloc[np.argsort(self.rows["row_id"].astype(str).to_numpy(), kind="stable")]

    @cached_property
    def _sides(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return one_side(self._sorted, "candidate"), one_side(self._sorted, "reference")

    @cached_property
    def _drawn(self) -> Floats:
        generator = np.random.default_rng(_SEED)
        return np.array([self._both(generator.integers(0, self.n, self.n)) for _ in range(DRAWS)])

    @cached_property
    def _jackknife(self) -> Floats:
        groups = np.random.default_rng(_SEED).permutation(self.n) % min(JACKKNIFE_GROUPS, self.n)
        return np.array([self._both(np.flatnonzero(groups != group)) for group in range(groups.max() + 1)])

    def _both(self, places: np.ndarray) -> tuple[float, float]:
        candidate, reference = (self._value(side.iloc[places]) for side in self._sides)
        return candidate, reference

    def _value(self, rows: pd.DataFrame) -> float:
        try:
            value = float(self.function(rows.reset_index(drop=True)))
        except Exception as error:  # user code
            raise EvidenceError(
                f"The function {self.name} failed ({type(error).__name__}: {error}).",
                "It gets one model's rows as a frame and returns a number, also for samples of them.",
            ) from error
        if not math.isfinite(value):
            raise EvidenceError(
                f"The function {self.name} gave {value} for a sample of {len(rows)} rows.",
                "Let it return a finite number for every sample of the rows.",
            )
        return value
