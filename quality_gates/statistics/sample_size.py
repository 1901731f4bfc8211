"""How many rows a gate needs before it can decide."""

import math
from bisect import bisect_left
from functools import lru_cache

from scipy.stats import beta, binom

MOST = 10_000_000


@lru_cache(maxsize=1024)
def rows_for_share(share: float, at_most: float, confidence: float, power: float) -> int | None:
    """Return the fewest rows whose exact upper bound stays within `at_most` with probability `power`.

    `share` is the true share; None where it is not below the limit, so that no number of rows shows it, or where more
    than ten million would be needed.
    """
    if share >= at_most:
        return None

    def suffices(n: int) -> bool:
        most = _most(n, at_most, confidence)
        return most >= 0 and float(binom.cdf(most, n, share)) >= power

    top = 1
    while not suffices(top):
        top *= 2
        if top > MOST:
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


def _most(n: int, at_most: float, confidence: float) -> int:
    """Return the largest count whose exact upper bound is within the limit; -1 for none."""
    within = bisect_left(range(n), True, key=lambda count: beta.ppf(confidence, count + 1, n - count) > at_most)
    return within - 1
