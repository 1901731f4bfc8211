"""The demo's recipe through Prefect's and MLflow's servers, and the same stages as plain functions on a file.

Each version is the same program. Both ways begin with an empty store of stages and take the versions in the same order,
in turns, so that they do the same work on a machine that is as busy.
"""

import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.record import Figure
from tests.benchmarks.triggers.delays import seconds
from tests.benchmarks.triggers.demo_versions import MODEL, RECIPE
from tests.benchmarks.triggers.installation import installed
from tests.end_to_end.prefect_api import PrefectApi

PAIRS = 3
RUN_S = 1200.0
HERE = "tests.benchmarks.triggers"


def figures(root: Path) -> list[Figure]:
    """Return how much longer the run through the servers takes, as a share: the median of three pairs."""
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
            alone = float(_python("plain_run", str(plain), version).splitlines()[-1])
            ratios.append(_orchestrated(api, version) / alone - 1)
    listed = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    return [
        Figure(f"orchestration: time beyond that of plain functions, median of {listed}", statistics.median(ratios),
               0.05, "of it", "at_most"),
    ]  # fmt: skip


def _orchestrated(api: PrefectApi, version: str) -> float:
    """Run the deployment; return the seconds between the first and the last line that the pipeline logs."""
    run = api.finished("compress/edgewright", {"model": MODEL, "version": version, "recipe": RECIPE}, RUN_S)
    if run["state_type"] != "COMPLETED":
        raise RuntimeError(f"expected version {version} to be answered, got {run['state']}")
    times = [seconds(line["timestamp"]) for line in api.lines(run["id"]) if line["name"] == "edgewright"]
    return max(times) - min(times)


def _python(module: str, *arguments: str) -> str:
    """Run a module of this package; return what it prints."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_TRACKING"))}
    return subprocess.run(
        [sys.executable, "-m", f"{HERE}.{module}", *arguments], env=kept, timeout=RUN_S, text=True,
        stdout=subprocess.PIPE, check=True,
    ).stdout  # fmt: skip
