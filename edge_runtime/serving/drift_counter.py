"""Drift of a version's tensors, counted on a sample of what it takes and gives, so that no request waits for it.

A few values are copied before an answer is delivered, and they are counted after it. What goes wrong ends the counting
with a log line, and never a request.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from edge_runtime.bundle import QUANTILES, Spread
from edge_runtime.errors import AnswerFailed
from edge_runtime.statistics import MOST_NAME, MOST_TENSORS, TensorDrift, drift_index

logger = logging.getLogger("edgewright")
ROWS_PER_S = 10.0
"""Rows that are looked at in a second, on average."""
MOST_ROWS = 16
"""Rows that are looked at in one batch, where it was quiet before."""
MOST_VALUES = 1024
"""Values of a row that are counted, one out of each of as many equal parts of it."""
_MOST_PLACES = 8

Asked = tuple[Mapping[str, np.ndarray], int, Mapping[str, np.ndarray] | AnswerFailed]
"""A request's arrays, the number of its rows, and its answer."""
Sample = list[tuple[str, int, np.ndarray]]
"""Names of tensors, each with a number of rows and values out of them."""


class DriftCounter:
    """Counts of one version. `sample` and `count` belong to the thread that answers; `read` may be called anywhere."""

    def __init__(self, spreads: Sequence[Spread], now: Callable[[], float] = time.monotonic) -> None:
        chosen = [spread for spread in spreads if len(spread.name) <= MOST_NAME][:MOST_TENSORS]
        self._tensors = {spread.name: _TensorCounter(spread) for spread in chosen}
        self._now = now
        self._lock = threading.Lock()
        self._allowed, self._since = float(MOST_ROWS), now()
        self._places: dict[int, np.ndarray] = {}
        self._random = np.random.default_rng(0)

    def sample(self, asked: Iterable[Asked]) -> Sample:
        """Copy some values of some rows of requests and their answers; an empty sample where enough was seen lately."""
        if not self._tensors:
            return []
        now = self._now()
        self._allowed = min(MOST_ROWS, self._allowed + (now - self._since) * ROWS_PER_S)
        self._since = now
        found: Sample = []
        try:
            for arrays, rows, answer in asked:
                if self._allowed < 1:
                    break
                if isinstance(answer, AnswerFailed):
                    continue
                taken = min(int(self._allowed), max(1, rows))
                self._allowed -= taken
                found += self._of_request({**arrays, **answer}, rows, taken)
        except Exception:
            self._end()
        return found

    def count(self, sample: Sample) -> None:
        """Count what was copied."""
        try:
            with self._lock:
                for name, rows, values in sample:
                    self._tensors[name].count(rows, values)
        except Exception:
            self._end()

    def read(self) -> tuple[TensorDrift, ...]:
        """Return the drift of every tensor that values were seen of, in the order of the spreads."""
        with self._lock:
            return tuple(counter.read() for counter in self._tensors.values() if counter.rows)

    def _of_request(
        self, tensors: Mapping[str, np.ndarray], rows: int, taken: int
    ) -> Iterator[tuple[str, int, np.ndarray]]:
        for name, array in tensors.items():
            if name not in self._tensors or not array.size:
                continue
            if array.ndim == 0 or array.shape[0] != rows:
                yield name, 1, self._of_row(array)
                continue
            chosen = range(rows) if taken == rows else (np.arange(taken) * rows // taken).tolist()
            yield name, taken, np.concatenate([self._of_row(array[row]) for row in chosen])

    def _of_row(self, row: np.ndarray) -> np.ndarray:
        """Copy at most MOST_VALUES of a row's values, at places that are in step with no period of a tensor."""
        if row.size <= MOST_VALUES:
            return np.array(row, copy=True).ravel()
        places = self._places.get(row.size)
        if places is None:
            parts = np.linspace(0, row.size, MOST_VALUES + 1)[:-1]
            places = (parts + self._random.random(MOST_VALUES) * (row.size / MOST_VALUES)).astype(np.int64)
            places = np.minimum(places, row.size - 1)
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            self._places[row.size] = places
        values: np.ndarray = row.reshape(-1)[places] if row.flags.c_contiguous else row.flat[places]
        return values

    def _end(self) -> None:
        logger.exception("The drift of a model cannot be counted, and is not counted any more")
        with self._lock:
            self._tensors = {}


class _TensorCounter:
    """Counts of one tensor. Values between two quantiles and values that equal one are counted apart.

    Many values may be equal, such as zeros. A quantile that equals them says only that the share of smaller values is
    at most its own, and that of values up to them at least its own. So equal values are given to the bins on either
    side as it was expected, as far as there are enough of them: a change is only what equal values cannot explain.
    """

    def __init__(self, spread: Spread) -> None:
        self.rows = 0
        self._name = spread.name
        self._edges = np.array(sorted(spread.quantiles), np.float64)
        self._below = np.zeros(len(self._edges), np.int64)
        self._up_to = np.zeros(len(self._edges), np.int64)
        self._values = 0

    def count(self, rows: int, values: np.ndarray) -> None:
        """Count values; NaN is above every quantile, since numpy sorts it last."""
        numbers = values.astype(np.float64)
        self._below += self._up_to_each_edge(numbers, "right")
        self._up_to += self._up_to_each_edge(numbers, "left")
        self._values += numbers.size
        self.rows += rows

    def read(self) -> TensorDrift:
        """Return the counts by bin, and their index."""
        expected = np.rint(np.array(QUANTILES) * self._values).astype(np.int64)
        ends = [int(end) for end in np.clip(expected, self._below, self._up_to)]
        counts = tuple(after - before for before, after in zip((0, *ends), (*ends, self._values), strict=True))
        return TensorDrift(self._name, self.rows, counts, drift_index(counts, self.rows))

    def _up_to_each_edge(self, numbers: np.ndarray, side: Literal["left", "right"]) -> np.ndarray:
        """Return how many numbers lie below each edge, or at it too, by the side on which an equal one is put in."""
        places = np.searchsorted(self._edges, numbers, side)
        up_to: np.ndarray = np.bincount(places, minlength=len(self._edges) + 1).cumsum()[: len(self._edges)]
        return up_to
