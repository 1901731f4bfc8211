"""Starts of the command line."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tasks.registry.client import client_for
from tests.benchmarks.record import Figure
from tests.benchmarks.triggers.installation import MAIN
from tests.docker.dockerfiles import ROOT

TIMES = 5


def figures(root: Path) -> list[Figure]:
    """Return the medians of `edgewright --help`, and of `edgewright plan` where a registry holds no model."""
    client_for(f"sqlite:///{root}/mlflow/mlflow.db")  # makes its tables
    return [
        Figure("edgewright --help", taken(root, "--help")[0], 1, "s", "at_most"),
        Figure("edgewright plan on an empty registry", taken(root, "plan")[0], 4, "s", "at_most"),
    ]


def taken(home: Path, *arguments: str, tracking_uri: str = "") -> tuple[float, str]:
    """Return the median of the seconds that a command takes, and what it said last.

    Raises CalledProcessError where it fails.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    kept |= {"EDGEWRIGHT_HOME": str(home), "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": tracking_uri}
    times, said = [], ""
    for _ in range(TIMES + 1):
        began = time.perf_counter()
        command = [sys.executable, "-c", MAIN, *arguments]
        said = subprocess.run(command, env=kept, check=True, capture_output=True, text=True).stdout
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:]), said
