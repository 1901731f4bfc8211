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
    """Return the bounds of a figure from its positive values in two or more processes; None for fewer.

    They are Student's, of the logarithms, for noise multiplies. A figure may be looked at after 5, 10 and 20 processes,
    so each look has a third of the error (Bonferroni), and all of them together keep to `NOISE_CONFIDENCE`.
    """
    if len(values) < 2 or min(values) <= 0:
        return None
    logarithms = np.log(np.asarray(values, dtype=float))
    middle, reach = float(logarithms.mean()), float(logarithms.std(ddof=1)) / math.sqrt(len(values))
    reach *= float(scipy.stats.t.ppf(_LEVEL, len(values) - 1))
    return ProcessBounds(math.exp(middle), math.exp(middle - reach), math.exp(middle + reach), len(values))
