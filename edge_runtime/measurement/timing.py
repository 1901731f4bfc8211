"""Timing a call many times over: warmed up, without the garbage collector, and bounded in time."""

import gc
import time
from collections.abc import Callable

MINIMUM_REPEATS = 20


def time_calls(call: Callable[[], object], *, warmup: int, repeats: int, seconds: float) -> list[float]:
    """Return the milliseconds of each timed call.

    Stops after `repeats` calls, or after `seconds` once there are MINIMUM_REPEATS of them.
    """
    for _ in range(warmup):
        call()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _timed(call, repeats, int(seconds * 1e9))
    finally:
        if was_enabled:
            gc.enable()


def _timed(call: Callable[[], object], repeats: int, nanoseconds: int) -> list[float]:
    milliseconds: list[float] = []
    deadline = time.perf_counter_ns() + nanoseconds
    while len(milliseconds) < repeats:
        began = time.perf_counter_ns()
        call()
        ended = time.perf_counter_ns()
        milliseconds.append((ended - began) / 1e6)
        if ended >= deadline and len(milliseconds) >= MINIMUM_REPEATS:
            break
    return milliseconds
