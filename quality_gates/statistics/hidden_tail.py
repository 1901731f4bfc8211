"""The tail of errors that a sample could not see: rows that err more than any row that was measured."""

import math
from dataclasses import dataclass

from quality_gates.errors import EvidenceError
from quality_gates.evidence import PairedRows
from quality_gates.policy import ERRORS, SliceCondition


@dataclass(frozen=True)
class UnseenTail:
    """A `share` of all rows that may err more than any measured one, and the `error` there that breaks a bound."""

    share: float
    error: float

    def hides(self, largest: float | None) -> bool:
        """Tell whether rows that none was like could break the bound, where an error may be as large as `largest`."""
        return largest is not None and largest > self.error


def unseen_tail(metric: str | None, n: int, value: float, bound: float, confidence: float) -> UnseenTail | None:
    """Return the largest tail that none of `n` rows shows.

    None for other metrics than errors, and where the value is not below the bound.

    With s the share of all rows that err more than the largest of `n` rows, s <= 1 - (1 - confidence) ** (1 / n) holds
    at `confidence`, whatever the distribution (rule of three: about 3 / n at 95 %; Hanley JA, Lippman-Hand A. JAMA
    1983;249:1743-1745). Nothing bounds how far they err: `error` is what mae or rmse of them would take for the metric
    of all rows to reach the bound.
    """
    if metric not in ERRORS or not 0 <= value < bound:
        return None
    share = 1 - math.pow(1 - confidence, 1 / n)
    power = 2 if metric == "rmse" else 1
    error = (bound**power - (1 - share) * value**power) / share
    return UnseenTail(share, error ** (1 / power))


def check_largest_error(laid: PairedRows, condition: SliceCondition | None, largest: float | None) -> None:
    """Raise EvidenceError where a row of the candidate errs by more than the largest error that a recipe states."""
    if largest is None:
        return
    seen = float(laid.rows["candidate_score"][laid.index.mask(condition)].abs().max())
    if seen > largest:
        raise EvidenceError(
            f"A row errs by {seen:.4g}, more than the `largest_error` of {largest:g}.", "State the true one, or none."
        )


def rows_that_would_see(metric: str, value: float, bound: float, largest: float, confidence: float) -> int:
    """Count the rows after which errors of at most `largest` that none is like leave the value below the bound."""
    power = 2 if metric == "rmse" else 1
    share = (bound**power - value**power) / (largest**power - value**power)
    return math.ceil(math.log(1 - confidence) / math.log1p(-share))
