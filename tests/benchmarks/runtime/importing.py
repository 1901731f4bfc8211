"""CPU time of importing the runtime, over that of importing ONNX Runtime alone."""

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from tests.benchmarks.record import ROOT, Figure

TURNS = 15
PLAIN = "import onnxruntime"
IMPORTS = {
    "a session": "import edge_runtime.session",
    "an installed model": "import edge_runtime.install, edge_runtime.session",
}
SCRIPT = "import time; began = time.process_time(); {imports}; print(time.process_time() - began)"


def figures(_: Path) -> list[Figure]:
    """Import in turns, each in a fresh process."""
    spent = {name: list[float]() for name in (PLAIN, *IMPORTS)}
    for _turn in range(TURNS):
        for name, times in spent.items():
            times.append(_seconds(IMPORTS.get(name, PLAIN)))
    plain = median(spent[PLAIN])
    return [
        *(Figure(f"CPU time to import {name}, to `{PLAIN}`", median(spent[name]) / plain, 1.1, "x", "at_most")
          for name in IMPORTS),
        Figure(f"CPU time of `{PLAIN}`", plain * 1e3, float("inf"), "ms", "at_most"),
    ]  # fmt: skip


def _seconds(imports: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(imports=imports)], cwd=ROOT, check=True, capture_output=True, text=True,
        env=os.environ | {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    return float(done.stdout)
