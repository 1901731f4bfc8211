"""The plan for batches: whether a model gains by them, how large they get, and how long work will take here."""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

LEAST_GAIN = 1.3
"""Times the rows per second of single rows that a batch must reach in the measured curve, else nothing is batched."""
NEAR_BEST = 0.95
"""Share of the best rows per second that is good enough: a smaller batch answers sooner."""
_REMEMBERED = 15


@dataclass(frozen=True)
class BatchingPlan:
    """The most rows of a batch, 1 where requests run alone, and the measured curve as rows and milliseconds."""

    most_rows: int = 1
    rows: tuple[int, ...] = ()
    milliseconds: tuple[float, ...] = ()

    @classmethod
    def of_curve(cls, batch_ms: Mapping[str, float]) -> "BatchingPlan":
        """Return the plan for a bundle's measured curve: medians in milliseconds by numbers of rows, as text.

        Batches get as large as the smallest number of rows that is near the best rows per second.
        """
        curve = sorted((int(rows), float(ms)) for rows, ms in batch_ms.items())
        if not curve or curve[0][0] != 1 or any(ms <= 0 for _, ms in curve):
            return cls()
        per_second = {rows: rows / ms for rows, ms in curve}
        best = max(per_second.values())
        most = next(rows for rows, speed in per_second.items() if speed >= NEAR_BEST * best)
        gains = per_second[most] >= LEAST_GAIN * per_second[1]
        return cls(most if gains else 1, tuple(rows for rows, _ in curve), tuple(ms for _, ms in curve))

    @property
    def joins(self) -> bool:
        """True where requests run together."""
        return self.most_rows > 1

    def alone(self) -> "BatchingPlan":
        """Return the plan in which every request runs alone."""
        return BatchingPlan(1, self.rows, self.milliseconds)

    def work(self, rows: int) -> float:
        """Return the work of one call with so many rows, in a unit of its own that Pace turns into seconds."""
        if not self.rows:
            return float(rows)
        if rows >= self.rows[-1]:
            return self.milliseconds[-1] * rows / self.rows[-1]
        at = max(1, bisect_left(self.rows, rows))
        (left, right), (low, high) = self.rows[at - 1 : at + 1], self.milliseconds[at - 1 : at + 1]
        return low + (high - low) * (rows - left) / (right - left)

    def share(self, rows: int) -> float:
        """Return the work that a request of so many rows adds to a queue."""
        return self.work(self.most_rows) * rows / self.most_rows if rows < self.most_rows else self.work(rows)


class Pace:
    """The seconds that a unit of work takes here: the median of the last calls; None before the first."""

    def __init__(self) -> None:
        self._seen = deque[float](maxlen=_REMEMBERED)
        self.seconds_per_work: float | None = None

    def seen(self, work: float, seconds: float) -> None:
        """Take a call into account."""
        if work > 0:
            self._seen.append(seconds / work)
            self.seconds_per_work = median(self._seen)
