"""Each check runs in a process of its own, because limits and peaks are those of a whole process."""

import json
import os
import subprocess
import sys
from pathlib import Path

_ROOT = str(Path(__file__).parents[3])


def _run(script: str) -> list[float]:
    """The figures that a script prints as a JSON list."""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": _ROOT},
    )
    figures: list[float] = json.loads(ended.stdout)
    return figures


def test_the_peak_follows_what_was_touched_and_begins_again_after_a_reset() -> None:
    script = """
import json
from edge_runtime.measurement import memory
first = memory.resident_mb()
block = bytearray(b"x") * (100 << 20)
peak = memory.peak_mb()
del block
reset = memory.reset_peak()
print(json.dumps([first, peak, memory.peak_mb(), memory.resident_mb(), reset]))
"""
    first, peak, after, resident, reset = _run(script)
    assert 90 < peak - first < 130
    assert resident < first + 20
    assert after < first + 20 if reset else after == peak


def test_the_parents_peak_is_not_inherited() -> None:
    script = """
import json, os, subprocess, sys
block = bytearray(b"x") * (150 << 20)
code = "from edge_runtime.measurement import memory; print(memory.peak_mb())"
printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
print(json.dumps([float(printed)]))
"""
    (peak,) = _run(script)
    assert 1 < peak < 60


def test_growth_is_stopped_at_twice_the_limit_and_freed_again() -> None:
    script = """
import json
from edge_runtime.measurement import memory
def fits(mb):
    try:
        return bool(bytearray(mb << 20))
    except MemoryError:
        return False
memory.limit_growth(100, threads=1)
within, beyond = fits(90), fits(260)
memory.lift_limit()
print(json.dumps([within, beyond, fits(260)]))
"""
    assert _run(script) == [True, False, True]
