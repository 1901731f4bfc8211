"""Timing of calls in the measuring process: all at once, or a block of them whenever it is this process's turn."""

import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge_runtime.measurement.latency import TimedBlock, TimedLoad

MINIMUM_REPEATS = 20
BLOCK_S = 0.02
BLOCK_CALLS = 3
MINIMUM_CPU_MS = 1e-3  # the clock of CPU time may be coarse
_MOST_CALLS = 2_000
IN_TURNS = "--in-turns"
TURN = b"turn\n"


def time_calls(call: Callable[[], object], *, warmup: int, repeats: int, seconds: float) -> list[float]:
    """Return the milliseconds of each timed call, without those of the warm-up; the garbage collector is off.

    Stops after `repeats` calls, or after `seconds` once there are MINIMUM_REPEATS of them.
    """
    for _ in range(warmup):
        call()
    with _collector_off():
        return _timed(call, repeats, seconds)


def time_block(call: Callable[[], object]) -> TimedBlock:
    """Time calls for BLOCK_S, but at least BLOCK_CALLS, after one that brings the model back into the caches."""
    call()
    milliseconds: list[float] = []
    switches: list[int] = []
    with _collector_off():
        deadline = time.perf_counter() + BLOCK_S
        before = _involuntary_switches()
        while len(milliseconds) < BLOCK_CALLS or (time.perf_counter() < deadline and len(milliseconds) < _MOST_CALLS):
            milliseconds.append(_time_one(call))
            after = _involuntary_switches()
            switches.append(after - before)
            before = after
    return TimedBlock(tuple(milliseconds), tuple(switches))


def time_load(load: Callable[[], object]) -> TimedLoad:
    """Time a call once, on the clock and in CPU time of all threads."""
    cpu = time.process_time_ns()
    milliseconds = _time_one(load)
    return TimedLoad(milliseconds, max((time.process_time_ns() - cpu) / 1e6, MINIMUM_CPU_MS))


def answer_turns(load: Callable[[], tuple[TimedLoad, Callable[[], object]]]) -> None:
    """Answer the lines of stdin with lines of JSON on stdout until stdin ends.

    The first line, "ready", is said unasked; the first answer is the time of loading, every other one a block of calls
    of what was loaded. Reading blocks, so that a process that waits for its turn takes no CPU. Whatever else would
    write to stdout is led to stderr.
    """
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        print(json.dumps("ready"), file=answers, flush=True)
        if sys.stdin.buffer.readline() != TURN:
            return
        timed, call = load()
        print(json.dumps(timed.to_plain()), file=answers, flush=True)
        while sys.stdin.buffer.readline() == TURN:
            print(json.dumps(time_block(call).to_plain()), file=answers, flush=True)


@contextmanager
def _collector_off() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _timed(call: Callable[[], object], repeats: int, seconds: float) -> list[float]:
    milliseconds: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(milliseconds) < repeats:
        milliseconds.append(_time_one(call))
        if time.perf_counter() >= deadline and len(milliseconds) >= MINIMUM_REPEATS:
            break
    return milliseconds


def _time_one(call: Callable[[], object]) -> float:
    began = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - began) / 1e6


def _involuntary_switches() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
