"""Tango's score interval for a difference of paired proportions, and what follows from it for planning.

Source: Tango T. Equivalence test and confidence interval for the difference in proportions for the paired-sample
design. Statistics in Medicine 1998;17:891-908.

`gained` counts the rows where only the candidate is right, `lost` those where only the reference is right, `n` all
rows; the difference is (gained - lost) / n, candidate - reference. The test is asymptotic, and on few rows a true loss
of exactly the margin passes more often than 1 - confidence. By exact enumeration, worst case over the share of
discordant rows and over margins from .01 to .20: at a confidence of .95 in at most .061 of cases from 200 rows on, .071
from 30, .082 from 12; at .975 .037 from 12 rows on; at .99 .016. At .90 it is up to .21, where the rows just suffice to
pass with none lost. The module `exact` raises the critical value until this is mended; the gates use that one.
"""

import math
from bisect import bisect_left
from statistics import NormalDist

from scipy.optimize import brentq

from quality_gates.errors import GateError

_ROOT_TOLERANCE = 1e-12


def score_interval(gained: int, lost: int, n: int, confidence: float) -> tuple[float, float]:
    """Return the lower and the upper bound of candidate - reference, each one-sided at `confidence`.

    Both lie in [-1, 1]; together they are a two-sided interval at 2 * confidence - 1.
    Raises GateError for counts that no table can have or a confidence outside (0.5, 1).
    """
    return lower_bound(gained, lost, n, confidence), -lower_bound(lost, gained, n, confidence)


def lower_bound(gained: int, lost: int, n: int, confidence: float, critical: float | None = None) -> float:
    """Return the difference at which the score statistic equals `critical`, the normal quantile of `confidence`."""
    _check_counts(gained, lost, n)
    z = _quantile(confidence) if critical is None else critical
    # At these three corners the variance vanishes at the estimate, which would be a second, false root.
    if lost == n:
        return -1.0
    if gained == n:
        return (n - z * z) / (n + z * z)
    if gained == lost == 0:
        return -z * z / (n + z * z)

    def gap(difference: float) -> float:
        return gained - lost - n * difference - z * math.sqrt(n * _variance(gained, lost, n, difference))

    return float(brentq(gap, -1.0, (gained - lost) / n, xtol=_ROOT_TOLERANCE))


def most_lost(gained: int, n: int, margin: float, confidence: float, critical: float | None = None) -> int | None:
    """Return the largest number of lost rows, with `gained` fixed, whose lower bound is above -margin.

    None when even no lost row at all would not do: the rows are too few for the margin.
    """

    def too_many(lost: int) -> bool:
        return lower_bound(gained, lost, n, confidence, critical) <= -margin

    passing = bisect_left(range(n - gained + 1), True, key=too_many)
    return passing - 1 if passing else None


def rows_needed(discordance: float, margin: float, confidence: float, power: float = 0.8) -> int | None:
    """Return about how many rows pass a gate with probability `power` when the two models are truly equal.

    `discordance` is the share of rows on which exactly one model is right; at 0 the answer is the fewest rows that
    can pass at all. None for a margin of 0: no number of rows shows that equal models differ.
    Source: Nam J. Establishing equivalence of two treatments and sample size requirements in matched-pairs design.
    Biometrics 1997;53:1422-1430 (the restricted variance at the margin, the true one at no difference).
    """
    if not (0 <= discordance <= 1 and 0 <= margin < 1 and 0 < power < 1):
        raise GateError(
            "Expected a discordance in [0, 1], a margin in [0, 1) and a power in (0, 1); "
            f"got {discordance}, {margin} and {power}. Pass proportions, not percentages."
        )
    if margin == 0:
        return None
    at_margin = _variance(discordance / 2, discordance / 2, 1, -margin)
    spread = _quantile(confidence) * math.sqrt(at_margin) + NormalDist().inv_cdf(power) * math.sqrt(discordance)
    return math.floor((spread / margin) ** 2) + 1


def _variance(gained: float, lost: float, n: float, difference: float) -> float:
    """Return a row's variance under a given true difference, the share of lost rows at its restricted estimate."""
    share_lost = _restricted_share_lost(gained, lost, n, difference)
    return max(0.0, 2 * share_lost + difference * (1 - difference))


def _restricted_share_lost(gained: float, lost: float, n: float, difference: float) -> float:
    """Return the maximum likelihood estimate of P(lost) given P(gained) - P(lost) = difference (Tango 1998, eq. 25)."""
    a = 2 * n
    b = (2 * n - gained + lost) * difference - gained - lost
    c = -lost * difference * (1 - difference)
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    # For b > 0 the usual form of the larger root subtracts two nearly equal numbers.
    return (root - b) / (2 * a) if b <= 0 else -2 * c / (root + b)


def _quantile(confidence: float) -> float:
    if not 0.5 < confidence < 1:
        raise GateError(f"Expected a confidence between 0.5 and 1, got {confidence}. A usual value is 0.95.")
    return NormalDist().inv_cdf(confidence)


def _check_counts(gained: int, lost: int, n: int) -> None:
    if n < 1 or gained < 0 or lost < 0 or gained + lost > n:
        raise GateError(
            f"Expected 0 <= gained + lost <= n with n at least 1, got gained={gained}, lost={lost}, n={n}. "
            "Count each row once."
        )
