"""Tango's score test made exact: its critical value from the binomial distributions, not from the normal one.

On few discordant rows the score test's own critical value lets a loss of the margin pass too often (up to .071 at a
confidence of .95). The chance to pass is known exactly for every share of gained rows; here the critical value is
raised until that chance, maximised over the share (which nobody knows), is at most 1 - confidence.
Source: Suissa S, Shuster JJ. The 2x2 matched-pairs trial: exact unconditional design and analysis. Biometrics
1991;47:361-372; the score statistic orders the tables (Lloyd CJ, Moldovan MV. Exact one-sided confidence limits for the
difference between two correlated proportions. Statistics in Medicine 2007;26:3369-3384).
"""

from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from quality_gates.statistics import tango

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
_SHARES = 60  # the chance is a polynomial in the share: between so many points it hardly rises
_DISCORDANT = 150  # beyond so many expected gained rows the normal distribution serves
_FIRST_STEP = 0.04
_TOLERANCE = 0.005
_TIE = 1e-9


def bounds(gained: int, lost: int, n: int, margin: float, confidence: float) -> tuple[float, float]:
    """Return the bounds of candidate - reference, each one-sided, to be held against -margin.

    They are Tango's, at a critical value that is exact at the margin wherever the bound would decide: the lower lies
    above -margin in at most 1 - confidence of the cases in which the true loss is the margin or more, the upper below
    it in as few where it is the margin or less.
    """
    lower, upper = tango.score_interval(gained, lost, n, confidence)
    if lower > -margin:
        lower = tango.lower_bound(gained, lost, n, confidence, critical_value(n, -margin, confidence))
    if upper < -margin:
        upper = -tango.lower_bound(lost, gained, n, confidence, critical_value(n, margin, confidence))
    return lower, upper


def most_lost(gained: int, n: int, margin: float, confidence: float) -> int | None:
    """Return the largest number of lost rows, with `gained` fixed, that passes; None when even none would not do."""
    return tango.most_lost(gained, n, margin, confidence, critical_value(n, -margin, confidence))


@lru_cache(maxsize=4096)
def critical_value(n: int, difference: float, confidence: float) -> float:
    """Return what the statistic must exceed so that a true difference of at most `difference` rarely passes.

    Never below the normal quantile of `confidence`.
    """
    alpha = 1 - confidence
    passing = NormalDist().inv_cdf(confidence)
    if largest_chance(n, difference, passing) <= alpha:
        return passing
    step, refusing = _FIRST_STEP, passing
    while largest_chance(n, difference, refusing := refusing + step) > alpha:
        passing, step = refusing, 2 * step
    while refusing - passing > _TOLERANCE:
        middle = (passing + refusing) / 2
        within = largest_chance(n, difference, middle) <= alpha
        passing, refusing = (passing, middle) if within else (middle, refusing)
    return refusing


def p_value(gained: int, lost: int, n: int, difference: float) -> float:
    """Return the largest chance of a table at least as much in the candidate's favour, at a true `difference`."""
    statistic = float(_statistic(np.array([gained]), np.array([lost]), n, difference)[0])
    return min(1.0, largest_chance(n, difference, statistic - _TIE))


def largest_chance(n: int, difference: float, critical: float) -> float:
    """Return the chance that the statistic exceeds `critical` at a true `difference`, the largest over all shares."""
    highest = min((1 + difference) / 2, max(_DISCORDANT / n, difference + _DISCORDANT / n))
    lowest = max(0.0, difference)
    reach = max(highest - lowest, 0.02 / n)
    steps = np.concatenate([np.geomspace(0.01 / n, reach, _SHARES), np.linspace(0, reach, _SHARES)])
    shares = np.unique(np.clip(lowest + steps, lowest, (1 + difference) / 2))
    gained = np.arange(_reach(n, float(shares.max())) + 1)
    most = _most_lost(gained, n, difference, critical)
    return max(_chance(n, float(share), float(share) - difference, gained, most) for share in shares)


def _reach(n: int, share: float) -> int:
    return min(n, int(n * share + 7 * np.sqrt(n * share) + 12))


def _chance(n: int, share_gained: float, share_lost: float, gained: Counts, most: Counts) -> float:
    spread = 7 * np.sqrt(n * share_gained)
    start = max(0, int(n * share_gained - spread - 5))
    seen = slice(start, _reach(n, share_gained) + 1)
    of_the_rest = min(1.0, max(0.0, share_lost) / (1 - share_gained)) if share_gained < 1 else 0.0
    chance = binom.pmf(gained[seen], n, share_gained) * binom.cdf(most[seen], n - gained[seen], of_the_rest)
    return float(chance.sum())


def _most_lost(gained: Counts, n: int, difference: float, critical: float) -> Counts:
    """Return for each number of gained rows the largest number of lost ones that exceeds `critical`; -1 for none."""
    passing, failing = np.full(gained.shape, -1), n - gained + 1
    while (open_ := failing - passing > 1).any():
        middle = (passing + failing) // 2
        exceeds = _statistic(gained, middle, n, difference) > critical
        passing = np.where(open_ & exceeds, middle, passing)
        failing = np.where(open_ & ~exceeds, middle, failing)
    return passing


def _statistic(gained: Counts, lost: Counts, n: int, difference: float) -> Floats:
    """Return Tango's score statistic; 0 where its variance vanishes, for then nothing is known."""
    a = 2.0 * n
    b = (2 * n - gained + lost) * difference - gained - lost
    c = -lost * difference * (1 - difference)
    root = np.sqrt(np.maximum(0.0, b * b - 4 * a * c))
    below = np.where(root + b > 0, root + b, 1.0)
    share_lost = np.where(b <= 0, (root - b) / (2 * a), -2 * c / below)
    deviation = np.sqrt(n * np.maximum(0.0, 2 * share_lost + difference * (1 - difference)))
    distance = gained - lost - n * difference
    return np.divide(distance, deviation, out=np.zeros_like(deviation), where=deviation > 0)
