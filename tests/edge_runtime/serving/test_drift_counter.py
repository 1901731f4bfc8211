"""Drift of what a version takes and gives: which values are counted, and what counts as a change."""

import logging
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from edge_runtime.bundle import QUANTILES, Spread
from edge_runtime.errors import AnswerFailed
from edge_runtime.serving.drift_counter import MOST_ROWS, MOST_VALUES, ROWS_PER_S, DriftCounter
from edge_runtime.statistics import LARGE_DRIFT, SMALL_DRIFT, TensorDrift

Draw = Callable[[int], np.ndarray]
_RANDOM = np.random.default_rng(7)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def spread_of(values: np.ndarray, name: str = "x") -> Spread:
    numbers = values.astype(np.float64).ravel()
    quantiles = tuple(float(each) for each in np.quantile(numbers, QUANTILES))
    return Spread(name, len(values), float(numbers.mean()), float(numbers.std()), quantiles)


def drift_of(calibrated: np.ndarray, live: Draw, rows: int = 200) -> TensorDrift:
    """Count rows one by one, in calm times, and return the drift of x."""
    clock = Clock()
    counter = DriftCounter([spread_of(calibrated)], clock)
    for _ in range(rows):
        clock.seconds += 1.0
        counter.count(counter.sample([({"x": live(1)}, 1, {})]))
    (drift,) = counter.read()
    return drift


def normal(rows: int) -> np.ndarray:
    return _RANDOM.normal(size=(rows, 50)).astype(np.float32)


def half_zeros(rows: int) -> np.ndarray:
    return np.maximum(normal(rows), 0)


def nearly_all_zeros(rows: int) -> np.ndarray:
    return (_RANDOM.random((rows, 50)) < 0.002).astype(np.float32)


def few_integers(rows: int) -> np.ndarray:
    return _RANDOM.integers(0, 4, (rows, 50))


def constant(rows: int) -> np.ndarray:
    return np.full((rows, 50), 3.0, np.float32)


def _all_of(value: float, rows: int) -> np.ndarray:
    return np.full((rows, 50), value, np.float32)


@pytest.mark.parametrize("draw", [normal, half_zeros, nearly_all_zeros, few_integers, constant])
def test_the_same_values_are_no_drift_however_many_are_equal(draw: Draw) -> None:
    drift = drift_of(draw(400), draw)
    assert drift.rows == 200 and sum(drift.counts) == 200 * 50
    assert drift.index < SMALL_DRIFT


@pytest.mark.parametrize("draw", [normal, half_zeros, few_integers, constant])
def test_values_that_moved_are_a_large_drift(draw: Draw) -> None:
    assert drift_of(draw(400), lambda rows: draw(rows) + 2).index > LARGE_DRIFT


def test_fewer_zeros_than_ever_before_are_a_drift() -> None:
    assert drift_of(half_zeros(400), lambda rows: np.abs(normal(rows))).index > LARGE_DRIFT


def test_what_is_no_number_and_what_is_infinite_lies_outside() -> None:
    with np.errstate(all="ignore"):
        for value, place in ((np.nan, -1), (np.inf, -1), (-np.inf, 0)):
            drift = drift_of(normal(400), partial(_all_of, value))
            assert drift.counts[place] == 200 * 50 and sum(drift.counts) == 200 * 50
            assert LARGE_DRIFT < drift.index < 1000


def test_three_rows_do_not_look_like_a_change() -> None:
    assert drift_of(normal(400), lambda rows: normal(rows) + 2, rows=3).index < SMALL_DRIFT


def test_so_many_rows_are_looked_at_in_a_second() -> None:
    clock = Clock()
    counter = DriftCounter([spread_of(normal(10))], clock)

    def taken(rows: int) -> int:
        return sum(each for _, each, _ in counter.sample([({"x": normal(rows)}, rows, {})]))

    assert taken(1000) == MOST_ROWS and taken(1000) == 0
    clock.seconds += 2 / ROWS_PER_S
    assert taken(1) == 1 and taken(1) == 1 and taken(1) == 0
    clock.seconds += 1e6
    assert taken(1000) == MOST_ROWS


def test_rows_of_a_large_request_are_taken_from_all_of_it() -> None:
    counter = DriftCounter([spread_of(normal(10))], Clock())
    x = np.arange(1600, dtype=np.float32).reshape(1600, 1)
    ((_, rows, values),) = counter.sample([({"x": x}, 1600, {})])
    assert rows == MOST_ROWS and values.tolist() == [100.0 * at for at in range(MOST_ROWS)]


def test_of_a_large_row_some_values_of_every_part_are_taken() -> None:
    """Neither one channel alone nor one column."""
    image = np.zeros((1, 128, 128, 3), np.float32)
    image[0, :, :, 1] = 1.0
    counter = DriftCounter([spread_of(normal(10))], Clock())
    ((_, _, values),) = counter.sample([({"x": image}, 1, {})])
    assert values.size == MOST_VALUES and 0.25 < values.mean() < 0.42
    ramp = np.arange(1 << 20, dtype=np.float32).reshape(1, 1024, 1024)
    ((_, _, values),) = counter.sample([({"x": ramp.transpose(0, 2, 1)}, 1, {})])
    assert sorted(set((values % 1024 // 64).astype(int))) == list(range(16))
    assert sorted(set((values // 65536).astype(int))) == list(range(16))


def test_what_the_caller_changes_afterwards_is_not_counted() -> None:
    counter = DriftCounter([spread_of(normal(400))], Clock())
    x = normal(2)
    sample = counter.sample([({"x": x}, 2, {})])
    x[:] = 100.0
    counter.count(sample)
    assert counter.read()[0].counts[-1] == 0


def test_inputs_and_outputs_are_counted_and_failures_are_not() -> None:
    counter = DriftCounter([spread_of(normal(10)), spread_of(normal(10), "y"), spread_of(normal(10), "z")], Clock())
    asked = [
        ({"x": normal(2)}, 2, {"y": normal(2), "other": normal(2)}),
        ({"x": normal(2)}, 2, AnswerFailed("no")),
        ({"x": np.float32(1)}, 0, {"y": normal(3)}),
    ]
    counter.count(counter.sample(asked))  # type: ignore[arg-type]
    assert [(each.tensor, each.rows, sum(each.counts)) for each in counter.read()] == [("x", 3, 101), ("y", 3, 250)]


def test_nothing_without_a_spread() -> None:
    counter = DriftCounter([])
    assert counter.sample([({"x": normal(2)}, 2, {})]) == [] and counter.read() == ()


def test_what_cannot_be_counted_ends_the_counting_alone(caplog: pytest.LogCaptureFixture) -> None:
    counter = DriftCounter([spread_of(normal(10))], Clock())
    words = np.array([["no number"]])
    with caplog.at_level(logging.ERROR, "edgewright"):
        counter.count(counter.sample([({"x": words}, 1, {})]))
    assert "cannot be counted" in caplog.text
    assert counter.read() == () and counter.sample([({"x": normal(1)}, 1, {})]) == []
