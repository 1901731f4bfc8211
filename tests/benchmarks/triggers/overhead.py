"""The demo's recipe through Prefect's and MLflow's servers, and the same stages as plain functions on a file.

Each version is the same program. Both ways begin with an empty store of stages and take the versions in the same order,
in turns, so that they do the same work on a machine that is as busy. What is timed again, because the times did not
compare, is left out of both: it falls to one of them by chance.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.record import Figure
from tests.benchmarks.triggers.delays import seconds
from tests.benchmarks.triggers.demo_versions import MODEL, RECIPE
from tests.benchmarks.triggers.installation import installed
from tests.edge_runtime.processes import wait_until
from tests.end_to_end.prefect_api import PrefectApi

PAIRS = 5
AGAIN = "they are taken again"
RUN_S = 1200.0
LINES_S = 60.0
LAST = "camera: Published"
HERE = "tests.benchmarks.triggers"


def figures(root: Path) -> list[Figure]:
    """Return how much longer the run through the servers takes, as a share: the median of some pairs."""
    plain = root / "plain"
    plain.mkdir(parents=True)
    with installed(root / "servers") as (servers, api):
        servers.stack.start("worker")
        _python("demo_versions", servers.stack.mlflow, str(PAIRS))
        _python("demo_versions", f"sqlite:///{plain}/mlflow/mlflow.db", str(PAIRS))
        ratios = []
        for version in map(str, range(1, PAIRS + 1)):
            for home in (plain, servers.stack.workspace):
                shutil.rmtree(home / "store", ignore_errors=True)
            alone = _took(json.loads(_python("plain_run", str(plain), version).splitlines()[-1]))
            ratios.append(_took(_orchestrated(api, version)) / alone - 1)
    listed = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    return [
        Figure(f"orchestration: time beyond that of plain functions, median of {listed}", statistics.median(ratios),
               0.05, "of it", "at_most"),
    ]  # fmt: skip


def _took(lines: Sequence[tuple[float, str]]) -> float:
    """Return the seconds from the first line to the last, less those in which times were taken again."""
    lines = sorted(lines)
    # The line after it is the next repetition's or that of the end of this timing.
    again = sum(after[0] - line[0] for line, after in pairwise(lines) if AGAIN in line[1])
    sys.stdout.write(
        f"{lines[-1][0] - lines[0][0]:.1f} s, of which {again:.1f} s were for times that did not compare\n"
    )
    return lines[-1][0] - lines[0][0] - again


def _orchestrated(api: PrefectApi, version: str) -> list[tuple[float, str]]:
    """Run the deployment; return the lines that the pipeline logs, each with its time."""
    run = api.finished("compress/edgewright", {"model": MODEL, "version": version, "recipe": RECIPE}, RUN_S)
    if run["state_type"] != "COMPLETED":
        raise RuntimeError(f"expected version {version} to be answered, got {run['state']}")
    wait_until(lambda: any(line.startswith(LAST) for line in api.messages(run["id"])), LINES_S)
    return [
        (seconds(line["timestamp"]), line["message"]) for line in api.lines(run["id"]) if line["name"] == "edgewright"
    ]


def _python(module: str, *arguments: str) -> str:
    """Run a module of this package; return what it prints."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_TRACKING"))}
    return subprocess.run(
        [sys.executable, "-m", f"{HERE}.{module}", *arguments], env=kept, timeout=RUN_S, text=True,
        stdout=subprocess.PIPE, check=True,
    ).stdout  # fmt: skip
