"""The tail of errors that a sample could not see: rows that err more than any row that was measured."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class UnseenTail:
    """A `share` of all rows that may err more than any measured one, and the `error` there that breaks a bound."""

    share: float
    error: float


def unseen_tail(metric: str, n: int, value: float, bound: float, confidence: float) -> UnseenTail | None:
    """Return the largest tail that none of `n` rows shows; None where the value is not below the bound.

    With s the share of all rows that err more than the largest of `n` rows, s <= 1 - (1 - confidence) ** (1 / n) holds
    at `confidence`, whatever the distribution (rule of three: about 3 / n at 95 %; Hanley JA, Lippman-Hand A. JAMA
    1983;249:1743-1745). Nothing bounds how far they err: `error` is what mae or rmse of them would take for the metric
    of all rows to reach the bound.
    """
    if not 0 <= value < bound:
        return None
    share = 1 - math.pow(1 - confidence, 1 / n)
    power = 2 if metric == "rmse" else 1
    error = (bound**power - (1 - share) * value**power) / share
    return UnseenTail(share, error ** (1 / power))
