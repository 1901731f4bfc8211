"""The memory of calibration: the peak of a process that calibrates on 10,000 rows, to one on 100."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.benchmarks.frontier.ours import Ours
from tests.benchmarks.record import ROOT, Figure
from tests.benchmarks.trajectory.cache import CACHE, console

FEW, MANY = 100, 10_000
METHODS = ("minmax", "percentile", "entropy")


def memory_growth(ours: Ours) -> Figure:
    """The worst of the calibration methods; memory is above what the process had with the rows already read."""
    rows = ours.job.splits["train"].inputs[0]
    growth = {method: _ratio(ours.baseline.onnx, rows, method) for method in METHODS}
    console.print({method: round(ratio, 3) for method, ratio in growth.items()})
    title = f"peak memory of calibrating on {MANY:,} rows, to {FEW} rows, the worst of {', '.join(METHODS)}"
    return Figure(title, max(growth.values()), 1.1, "x", "at_most")


def _ratio(source: Path, rows: np.ndarray, method: str) -> float:
    few, many = (_peak_mb(source, rows[:count], method) for count in (FEW, MANY))
    return many / few


def _peak_mb(source: Path, rows: np.ndarray, method: str) -> float:
    CACHE.mkdir(parents=True, exist_ok=True)
    file = CACHE / "calibration-rows.npy"
    np.save(file, rows)
    command = [sys.executable, "-m", "tests.benchmarks.frontier.calibrate", str(source), str(file), method]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return float(ended.stdout.split()[-1])
