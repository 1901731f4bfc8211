"""Shares of rows, of one model and of two on the same rows: bounds, exact tests, and how many rows they need.

`gained` counts the rows where only the candidate is right, `lost` those where only the reference is right, `n` all
rows; the difference is (gained - lost) / n, candidate - reference.

The score interval is Tango's: Tango T. Equivalence test and confidence interval for the difference in proportions for
the paired-sample design. Statistics in Medicine 1998;17:891-908. It is asymptotic, and on few rows a true loss of
exactly the margin passes more often than 1 - confidence. By exact enumeration, worst case over the share of discordant
rows and over margins from .01 to .20: at a confidence of .95 in at most .061 of cases from 200 rows on, .071 from 30,
.082 from 12; at .975 .037 from 12 rows on; at .99 .016. At .90 it is up to .21, where the rows just suffice to pass
with none lost.

The gates use it made exact. The chance to pass is known exactly for every share of gained rows, so the critical value
is raised until that chance, maximised over the share (which nobody knows), is at most 1 - confidence: Suissa S, Shuster
JJ. The 2x2 matched-pairs trial: exact unconditional design and analysis. Biometrics 1991;47:361-372; the score
statistic orders the tables (Lloyd CJ, Moldovan MV. Exact one-sided confidence limits for the difference between two
correlated proportions. Statistics in Medicine 2007;26:3369-3384).
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy

from quality_gates.errors import GateError

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]
POWER = 0.8
MOST_ROWS = 10_000_000
_SHARES = 60  # the chance is a polynomial in the share: between so many points it hardly rises
_DISCORDANT = 150  # beyond so many expected gained rows the normal distribution serves
_FIRST_STEP = 0.04
_TOLERANCE = 0.005
_TIE = 1e-9
_ROOT_TOLERANCE = 1e-12


def share_bounds(count: int, n: int, confidence: float) -> tuple[float, float]:
    """Return the exact one-sided bounds of a share of rows.

    Source: Clopper CJ, Pearson ES. The use of confidence or fiducial limits illustrated in the case of the binomial.
    Biometrika 1934;26:404-413.
    """
    lower = 0.0 if count == 0 else float(scipy.stats.beta.ppf(1 - confidence, count, n - count + 1))
    upper = 1.0 if count == n else float(scipy.stats.beta.ppf(confidence, count + 1, n - count))
    return lower, upper


@lru_cache(maxsize=1024)
def rows_for_share(share: float, at_most: float, confidence: float, power: float) -> int | None:
    """Return the fewest rows whose exact upper bound stays within `at_most` with probability `power`.

    `share` is the true share; None where it is not below the limit, so that no number of rows shows it, or where more
    than ten million would be needed.
    """
    if share >= at_most:
        return None

    def suffices(n: int) -> bool:
        most = _most_within(n, at_most, confidence)
        return most >= 0 and float(scipy.stats.binom.cdf(most, n, share)) >= power

    top = 1
    while not suffices(top):
        top *= 2
        if top > MOST_ROWS:
            return None
    return bisect_left(range(top + 1), True, lo=top // 2, key=suffices)


def rows_without_a_miss(at_least: float, confidence: float) -> int | None:
    """Return the fewest rows whose exact lower bound is above `at_least` where all of them are right; None for never.

    With no miss in n rows the bound is (1 - confidence) ** (1 / n).
    """
    if at_least <= 0:
        return 1
    if at_least >= 1:
        return None
    return math.floor(math.log(1 - confidence) / math.log(at_least)) + 1


def score_interval(gained: int, lost: int, n: int, confidence: float) -> tuple[float, float]:
    """Return the lower and the upper bound of candidate - reference, each one-sided at `confidence`.

    Both lie in [-1, 1]; together they are a two-sided interval at 2 * confidence - 1.
    Raises GateError for counts that no table can have or a confidence outside (0.5, 1).
    """
    return score_bound(gained, lost, n, confidence), -score_bound(lost, gained, n, confidence)


def score_bound(gained: float, lost: float, n: float, confidence: float, critical: float | None = None) -> float:
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

    return float(scipy.optimize.brentq(gap, -1.0, (gained - lost) / n, xtol=_ROOT_TOLERANCE))


def most_lost_at(gained: int, n: int, margin: float, confidence: float, critical: float | None = None) -> int | None:
    """Return the largest number of lost rows, with `gained` fixed, whose lower bound is above -margin.

    None when even no lost row at all would not do: the rows are too few for the margin.
    """

    def too_many(lost: int) -> bool:
        return score_bound(gained, lost, n, confidence, critical) <= -margin

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


def exact_bounds(gained: int, lost: int, n: int, margin: float, confidence: float) -> tuple[float, float]:
    """Return the bounds of candidate - reference, each one-sided, to be held against -margin.

    They are Tango's, at a critical value that is exact at the margin wherever the bound would decide: the lower lies
    above -margin in at most 1 - confidence of the cases in which the true loss is the margin or more, the upper below
    it in as few where it is the margin or less.
    """
    lower, upper = score_interval(gained, lost, n, confidence)
    if lower > -margin:
        lower = score_bound(gained, lost, n, confidence, critical_value(n, -margin, confidence))
    if upper < -margin:
        upper = -score_bound(lost, gained, n, confidence, critical_value(n, margin, confidence))
    return lower, upper


def most_lost(gained: int, n: int, margin: float, confidence: float) -> int | None:
    """Return the largest number of lost rows, with `gained` fixed, that passes; None when even none would not do."""
    return most_lost_at(gained, n, margin, confidence, critical_value(n, -margin, confidence))


@lru_cache(maxsize=4096)
def critical_value(n: int, difference: float, confidence: float) -> float:
    """Return what the statistic must exceed so that a true difference of at most `difference` rarely passes.

    Never below the normal quantile of `confidence`.
    """
    alpha = 1 - confidence
    passing = NormalDist().inv_cdf(confidence)
    if not _exceeded(n, difference, passing, alpha):
        return passing
    step, refusing = _FIRST_STEP, passing
    while _exceeded(n, difference, refusing := refusing + step, alpha):
        passing, step = refusing, 2 * step
    while refusing - passing > _TOLERANCE:
        middle = (passing + refusing) / 2
        beyond = _exceeded(n, difference, middle, alpha)
        passing, refusing = (middle, refusing) if beyond else (passing, middle)
    return refusing


def p_value(gained: int, lost: int, n: int, difference: float) -> float:
    """Return the largest chance of a table at least as much in the candidate's favour, at a true `difference`."""
    statistic = score_statistic(gained, lost, n, difference)
    return min(1.0, largest_chance(n, difference, statistic - _TIE))


def largest_chance(n: int, difference: float, critical: float) -> float:
    """Return the chance that the statistic exceeds `critical` at a true `difference`, the largest over all shares."""
    return max(_chances(n, difference, critical))


def _exceeded(n: int, difference: float, critical: float, alpha: float) -> bool:
    """Tell whether the largest chance is beyond `alpha`; the first share at which it is ends the search."""
    return any(chance > alpha for chance in _chances(n, difference, critical))


def _chances(n: int, difference: float, critical: float) -> Iterator[float]:
    """Yield the chance that the statistic exceeds `critical` at a true `difference`, for each share of gained rows."""
    highest = min((1 + difference) / 2, max(_DISCORDANT / n, difference + _DISCORDANT / n))
    lowest = max(0.0, difference)
    reach = max(highest - lowest, 0.02 / n)
    steps = np.concatenate([np.geomspace(0.01 / n, reach, _SHARES), np.linspace(0, reach, _SHARES)])
    shares = np.unique(np.clip(lowest + steps, lowest, (1 + difference) / 2))
    gained = np.arange(_reach(n, float(shares.max())) + 1)
    most = _most_lost(gained, n, difference, critical)
    return (_chance(n, float(share), float(share) - difference, gained, most) for share in shares)


@lru_cache(maxsize=1024)
def least_found_loss(n: int, discordance: float, margin: float, confidence: float, power: float) -> float | None:
    """Return the smallest true loss that is found with probability `power`; None where none is.

    Found is a loss on `n` rows that is larger than the margin on other `n` rows and then shown, on these, to be larger.
    `discordance` is the share of rows on which exactly one of two equal models is right.
    """
    critical = critical_value(n, margin, confidence)
    lost = np.arange(n + 1)
    most_gained = _most_lost(lost, n, margin, critical)

    def found(loss: float) -> float:
        gained = discordance / 2
        shown = _chance(n, gained + loss, gained, lost, most_gained)
        deviation = math.sqrt(max(discordance + loss - loss**2, 1e-12) / n)
        return shown * NormalDist().cdf((loss - margin) / deviation)

    highest = 1 - discordance
    if highest <= margin or found(highest) < power:
        return None
    return float(scipy.optimize.brentq(lambda loss: found(loss) - power, margin, highest, xtol=1e-5))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, whatever their dependence (Holm S. Scand J Stat 1979;6:65-70)."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


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


def _check_counts(gained: float, lost: float, n: float) -> None:
    if n < 1 or gained < 0 or lost < 0 or gained + lost > n:
        raise GateError(
            f"Expected 0 <= gained + lost <= n with n at least 1, got gained={gained}, lost={lost}, n={n}. "
            "Count each row once."
        )


def score_statistic(gained: float, lost: float, n: float, difference: float) -> float:
    """Return Tango's score statistic of a table against a true `difference`."""
    return float(_statistic(np.array([gained]), np.array([lost]), n, difference)[0])


def _reach(n: int, share: float) -> int:
    return min(n, int(n * share + 7 * np.sqrt(n * share) + 12))


def _chance(n: int, share_gained: float, share_lost: float, gained: Counts, most: Counts) -> float:
    spread = 7 * np.sqrt(n * share_gained)
    start = max(0, int(n * share_gained - spread - 5))
    seen = slice(start, _reach(n, share_gained) + 1)
    of_the_rest = min(1.0, max(0.0, share_lost) / (1 - share_gained)) if share_gained < 1 else 0.0
    chance = _binomial(gained[seen], n, share_gained) * _binomial_up_to(most[seen], n - gained[seen], of_the_rest)
    return float(chance.sum())


def _binomial(counts: Counts, n: int, share: float) -> Floats:
    """Return the chance of exactly so many of `n` rows; scipy.stats has it too, ten times slower for short arrays."""
    special = scipy.special
    ways = special.gammaln(n + 1) - special.gammaln(counts + 1) - special.gammaln(n - counts + 1)
    chance: Floats = np.exp(ways + special.xlogy(counts, share) + special.xlog1py(n - counts, -share))
    return chance


def _binomial_up_to(counts: Counts, n: Counts, share: float) -> Floats:
    """Return the chance of at most so many of `n` rows; 0 for fewer than none, and 1 for all."""
    inside = np.clip(counts, 0, np.maximum(n - 1, 0))
    below: Floats = scipy.special.betainc(np.maximum(n - inside, 1), inside + 1, 1 - share)
    return np.where(counts < 0, 0.0, np.where(counts >= n, 1.0, below))


def _most_lost(gained: Counts, n: int, difference: float, critical: float) -> Counts:
    """Return for each number of gained rows the largest number of lost ones that exceeds `critical`; -1 for none."""
    passing, failing = np.full(gained.shape, -1), n - gained + 1
    while (open_ := failing - passing > 1).any():
        middle = (passing + failing) // 2
        exceeds = _statistic(gained, middle, n, difference) > critical
        passing = np.where(open_ & exceeds, middle, passing)
        failing = np.where(open_ & ~exceeds, middle, failing)
    return passing


def _statistic(gained: Counts | Floats, lost: Counts | Floats, n: float, difference: float) -> Floats:
    """Return Tango's score statistic; 0 where its variance vanishes, for then nothing is known."""
    a = 2.0 * n
    b = (2 * n - gained + lost) * difference - gained - lost
    c = -lost * difference * (1 - difference)
    root = np.sqrt(np.maximum(0.0, b * b - 4 * a * c))
    below = np.where(root + b > 0, root + b, 1.0)
    share_lost = np.where(b <= 0, (root - b) / (2 * a), -2 * c / below)
    deviation = np.sqrt(n * np.maximum(0.0, 2 * share_lost + difference * (1 - difference)))
    distance = gained - lost - n * difference
    statistic: Floats = np.divide(distance, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    return statistic


def _most_within(n: int, at_most: float, confidence: float) -> int:
    """Return the largest count whose exact upper bound is within the limit; -1 for none."""
    within = bisect_left(
        range(n), True, key=lambda count: scipy.stats.beta.ppf(confidence, count + 1, n - count) > at_most
    )
    return within - 1
