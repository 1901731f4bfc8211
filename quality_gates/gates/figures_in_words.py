"""Figures as they are written in the sentences of a verdict."""

import math
from dataclasses import dataclass

from quality_gates.statistics import UnseenTail, rows_that_would_see

_MINUS = "\N{MINUS SIGN}"


def points(proportion: float, digits: int = 1) -> str:
    """Write a difference of proportions in percentage points, with its sign."""
    text = f"{100 * proportion:+.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", _MINUS)


def digits_to_tell_apart(margin: float, *bounds: float) -> int:
    """Return how many decimals points need so that no bound looks equal to the margin it is compared with."""
    for digits in (1, 2, 3):
        shown = round(100 * margin, digits)
        if math.isclose(shown, 100 * margin) and all(round(-100 * bound, digits) != shown for bound in bounds):
            return digits
    return 4


def percent(proportion: float) -> str:
    """Write 0.95 as 95 %."""
    return f"{100 * proportion:g} %"


def rows(count: int) -> str:
    """Write a number of rows."""
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def rows_in_groups(count: int, groups: int | None) -> str:
    """Write a number of rows, and of how many groups they are where rows are not independent."""
    return rows(count) if groups is None else f"{rows(count)} in {groups:,} groups"


def count_in_groups(count: int, groups: int | None) -> str:
    """Write a number of rows without the word, and of how many groups they are."""
    return f"{count:,}" if groups is None else f"{count:,} in {groups:,} groups"


def at_most(count: int) -> str:
    """Write a number of rows that is allowed, before `may be lost` or the like."""
    return f"at most {count:,}" if count else "no row"


def figure(value: float) -> str:
    """Write a resource figure with as many digits as a reader can use."""
    if float(value).is_integer():
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:,.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


@dataclass(frozen=True)
class Differences:
    """Writes differences of one metric: proportions as points, others in the metric's own unit."""

    proportion: bool
    digits: int

    def signed(self, value: float, unit: bool = False) -> str:
        """Write a difference with its sign."""
        if self.proportion:
            return points(value, self.digits) + (" points" if unit else "")
        return f"{value:+.{self.digits}g}".replace("-", _MINUS)

    def amount(self, value: float) -> str:
        """Write a size without a sign, with its unit."""
        return f"{100 * value:.{self.digits}f} points" if self.proportion else f"{value:.{self.digits}g}"


def differences(proportion: bool, margin: float, *bounds: float) -> Differences:
    """Return what writes the differences of one gate, so that no bound looks equal to the margin."""
    return Differences(proportion, digits_to_tell_apart(margin, *bounds) if proportion else 4)


def metric_value(proportion: bool, value: float) -> str:
    """Write a metric's value: a proportion as 94.2 %, others as they are."""
    return f"{100 * value:.1f} %" if proportion else f"{value:.4g}"


def unseen_errors(tail: UnseenTail | None, confidence: float, largest: float | None) -> str:
    """Write which errors the rows of a mean error could not show; empty where there are none that matter."""
    if tail is None:
        return ""
    may_be = f"; a row may err by {largest:.3g}" if tail.hides(largest) else ""
    return (
        f"Not seen: up to {100 * tail.share:.2g} % of all rows may err more than any of these ({percent(confidence)} "
        f"sure), and {tail.error:.3g} on each would break the bound{may_be}."
    )


def rows_for_the_tail(metric: str | None, value: float, bound: float, largest: float | None, confidence: float) -> str:
    """Write how many rows would show that errors of the largest size cannot break a bound."""
    needed = rows_that_would_see(str(metric), value, bound, float(largest or 0), confidence)
    return f"About {rows(needed)} without such an error would show that there are too few of them to matter."


def amid(title: str) -> str:
    """Return a title as it stands amid a sentence: in lower case, unless it begins with an abbreviation such as MAE."""
    first = title.split(" ", maxsplit=1)[0]
    return title if len(first) > 1 and first.isupper() else f"{title[:1].lower()}{title[1:]}"
