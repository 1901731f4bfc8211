import gc
import os
import subprocess
import sys
import time

from edge_runtime.measurement.latency import TimedBlock
from edge_runtime.measurement.timing import BLOCK_CALLS, BLOCK_S, MINIMUM_REPEATS, time_block, time_calls


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


def test_a_block_has_calls_for_its_time_after_one_that_does_not_count() -> None:
    calls: list[int] = []

    def call() -> None:
        time.sleep(0.001)
        calls.append(1)

    began = time.perf_counter()
    block = time_block(call)
    assert time.perf_counter() - began >= BLOCK_S
    assert len(calls) == len(block.milliseconds) + 1 == len(block.switches) + 1
    assert len(block.milliseconds) >= BLOCK_CALLS


def test_a_block_of_slow_calls_has_a_few_all_the_same() -> None:
    block = time_block(lambda: time.sleep(2 * BLOCK_S))
    assert len(block.milliseconds) == BLOCK_CALLS
    assert all(value >= 2_000 * BLOCK_S for value in block.milliseconds)


def test_calls_that_lose_the_cpu_are_known() -> None:
    script = "while True: pass"
    cpu = {min(os.sched_getaffinity(0))}
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpu)
    try:
        with subprocess.Popen([sys.executable, "-c", script]) as rival:  # on the same CPU, as children inherit it
            blocks = [time_block(lambda: sum(range(500_000))) for _ in range(5)]
            rival.kill()
    finally:
        os.sched_setaffinity(0, everywhere)
    assert sum(sum(block.switches) for block in blocks) > 0
    assert all(len(block.undisturbed) <= len(block.milliseconds) for block in blocks)


def test_a_block_is_the_same_after_a_journey_through_json() -> None:
    block = time_block(lambda: None)
    assert TimedBlock.from_plain({"milliseconds": list(block.milliseconds), "switches": list(block.switches)}) == block
