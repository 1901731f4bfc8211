"""Noise between processes: bounds of a figure that each fresh process measures a little differently."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

NOISE_CONFIDENCE = 0.95
PROCESSES = (5, 10, 20)
"""Numbers of fresh processes after which a figure is held against its limit; more only while it is too close to it."""
_LEVEL = 1 - (1 - NOISE_CONFIDENCE) / len(PROCESSES)


@dataclass(frozen=True)
class ProcessBounds:
    """The typical value of a figure over fresh processes, its geometric mean, with one-sided bounds."""

    typical: float
    lower: float
    upper: float
    processes: int


def process_bounds(values: Sequence[float]) -> ProcessBounds | None:
    """Return the bounds of a figure from its values in two or more processes; None for fewer.

    They are Student's, of the logarithms, for noise multiplies. Where a process measured 0, which has no logarithm,
    they are those of the values themselves, so that it is never a single process that decides. A figure may be looked
    at after 5, 10 and 20 processes, so each look has a third of the error (Bonferroni), and all of them together keep
    to `NOISE_CONFIDENCE`.
    """
    if len(values) < 2:
        return None
    figures = np.asarray(values, dtype=float)
    multiplies = bool((figures > 0).all())
    figures = np.log(figures) if multiplies else figures
    middle, reach = float(figures.mean()), float(figures.std(ddof=1)) / math.sqrt(len(values))
    reach *= float(scipy.stats.t.ppf(_LEVEL, len(values) - 1))
    bounds = (middle, middle - reach, middle + reach)
    typical, lower, upper = (math.exp(each) if multiplies else max(each, 0.0) for each in bounds)
    return ProcessBounds(typical, lower, upper, len(values))
