import gc
import time

from edge_runtime.measurement.timing import MINIMUM_REPEATS, time_calls


def test_every_repeat_is_timed_and_no_warm_up() -> None:
    calls: list[int] = []
    milliseconds = time_calls(lambda: calls.append(1), warmup=3, repeats=50, seconds=10)
    assert len(calls) == 53
    assert len(milliseconds) == 50
    assert all(value >= 0 for value in milliseconds)


def test_the_times_are_milliseconds() -> None:
    (value,) = time_calls(lambda: time.sleep(0.02), warmup=0, repeats=1, seconds=1)
    assert 20 <= value < 500


def test_time_bounds_the_repeats_but_not_below_the_minimum() -> None:
    assert len(time_calls(lambda: time.sleep(0.002), warmup=0, repeats=10_000, seconds=0.001)) == MINIMUM_REPEATS
    assert len(time_calls(lambda: time.sleep(0.002), warmup=0, repeats=5, seconds=0.001)) == 5


def test_the_collector_is_off_while_timing_and_on_again_after() -> None:
    states: list[bool] = []
    assert gc.isenabled()
    time_calls(lambda: states.append(gc.isenabled()), warmup=1, repeats=2, seconds=1)
    assert states == [True, False, False]
    assert gc.isenabled()


def test_a_failing_call_leaves_the_collector_on() -> None:
    try:
        time_calls(lambda: 1 / 0, warmup=0, repeats=1, seconds=1)
    except ZeroDivisionError:
        assert gc.isenabled()
    else:
        raise AssertionError("the call did not fail")
