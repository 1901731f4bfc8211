"""The plan of batches, from measured curves."""

import pytest

from edge_runtime.serving.batching_plan import BatchingPlan, Pace

GAINS = {"1": 13.0, "2": 13.5, "4": 14.0, "8": 15.0, "16": 16.0, "32": 28.0}


def test_a_batch_is_as_small_as_is_nearly_best() -> None:
    assert BatchingPlan.of_curve(GAINS).most_rows == 32
    assert BatchingPlan.of_curve(GAINS | {"32": 34.0}).most_rows == 16
    assert BatchingPlan.of_curve(GAINS | {"32": 33.0}).most_rows == 16


@pytest.mark.parametrize(
    "curve",
    [
        {},
        {"1": 13.0},
        {"8": 15.0, "16": 16.0},
        {"1": 10.0, "8": 80.0, "32": 320.0},
        {"1": 1.29, "2": 2.0},
        {"1": 0.0, "8": 1.0},
        {"1": 10.0, "8": -1.0},
    ],
    ids=["empty", "one point", "without a single row", "flat", "too little", "no time", "a negative time"],
)
def test_requests_run_alone_where_no_curve_shows_a_gain(curve: dict[str, float]) -> None:
    plan = BatchingPlan.of_curve(curve)
    assert not plan.joins and plan.most_rows == 1


def test_a_gain_of_exactly_what_is_needed_is_enough() -> None:
    assert BatchingPlan.of_curve({"1": 1.3, "2": 2.0}).joins


def test_work_follows_the_curve_and_grows_beyond_it() -> None:
    plan = BatchingPlan.of_curve(GAINS)
    assert plan.work(1) == 13.0
    assert plan.work(3) == pytest.approx(13.75)
    assert plan.work(64) == 56.0
    assert plan.share(32) == 28.0
    assert plan.share(1) == pytest.approx(28.0 / 32)
    assert plan.alone().work(3) == plan.work(3) and not plan.alone().joins


def test_without_a_curve_work_are_rows() -> None:
    assert BatchingPlan().work(5) == 5.0
    assert BatchingPlan().share(5) == 5.0


def test_the_pace_is_a_median_that_one_slow_call_does_not_move() -> None:
    pace = Pace()
    assert pace.seconds_per_work is None
    for seconds in (2.0, 2.0, 500.0):
        pace.seen(2.0, seconds)
    assert pace.seconds_per_work == 1.0
    pace.seen(0.0, 1.0)
    assert pace.seconds_per_work == 1.0
