"""How wide a student may be: tried and measured, not computed from its parameters."""

from collections.abc import Callable, Sequence


def widest(widths: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """Find the largest of ascending widths that fits, by bisection; None when not even the first does.

    `fits` builds and measures. Where noise makes a wider one fit and a narrower one not, the answer is still one that
    was measured to fit.
    """
    best: int | None = None
    low, high = 0, len(widths) - 1
    while low <= high:
        middle = (low + high) // 2
        if fits(widths[middle]):
            best, low = widths[middle], middle + 1
        else:
            high = middle - 1
    return best
