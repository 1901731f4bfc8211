"""100 registrations in a burst while no worker is there: which runs are wanted, and that each is there once."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.benchmarks.record import Figure
from tests.benchmarks.triggers.installation import Installation, Versions, installed
from tests.edge_runtime.processes import wait_until
from tests.end_to_end.prefect_api import PrefectApi
from tests.end_to_end.tiny.variants import write_variant

VERSIONS, EXECUTED = 100, 10
QUIET_S = 20.0
BURST_S, EXECUTION_S = 600.0, 1800.0


def figures(root: Path) -> list[Figure]:
    """Return what comes of a burst with `finish` and with `supersede`, and of 10 runs of the former."""
    with installed(root / "servers") as (servers, api):
        finish = write_variant(root, "finish", {"model": "finish", "devices": ["finish"]})
        supersede = write_variant(root, "supersede", {"model": "supersede", "newer": "supersede"})
        first = {model: Versions(servers.stack.mlflow, model) for model in ("finish", "supersede")}
        with servers.watching([finish, supersede], webhooks=True):
            seconds = {model: _burst(api, versions) for model, versions in first.items()}
            wanted, newest = (_unfinished(api, model) for model in first)
            executed = _executed(servers, api)
    once = Counter(run["parameters"]["version"] for run in wanted)
    return [
        Figure("100 registrations in a burst with finish: versions with a run", float(len(once)), VERSIONS, "",
               "at_least"),
        Figure("the same: runs of the version that has most", float(max(once.values())), 1, "", "at_most"),
        Figure("the same, from the first registration to the last run", seconds["finish"], 120, "s", "at_most"),
        Figure("100 registrations in a burst with supersede: runs that are not cancelled", float(len(newest)), 1, "",
               "at_most"),
        Figure("the same: the version of that run", max(float(run["parameters"]["version"]) for run in newest),
               VERSIONS, "", "at_least"),
        Figure("10 of the runs with finish, executed: versions that were published", executed, EXECUTED, "",
               "at_least"),
    ]  # fmt: skip


def _burst(api: PrefectApi, versions: Versions) -> float:
    """Register up to 100 versions; return the seconds until no further run is made or cancelled."""
    began = time.monotonic()
    for _ in range(VERSIONS - 1):
        versions.add()
    state, changed = _states(api, versions.model), time.monotonic()
    while time.monotonic() - changed < QUIET_S and time.monotonic() - began < BURST_S:
        time.sleep(1)
        if (now := _states(api, versions.model)) != state:
            state, changed = now, time.monotonic()
    return changed - began


def _states(api: PrefectApi, model: str) -> Counter[str]:
    return Counter(run["state_type"] for run in _runs(api, model))


def _runs(api: PrefectApi, model: str) -> list[dict[str, Any]]:
    return [run for run in api.runs_of("compress") if run["parameters"]["model"] == model]


def _unfinished(api: PrefectApi, model: str) -> list[dict[str, Any]]:
    """Return the runs of a model that wait for a worker."""
    return [run for run in _runs(api, model) if run["state_type"] == "SCHEDULED"]


def _executed(servers: Installation, api: PrefectApi) -> float:
    """Start a worker until 10 runs have ended; return how many versions have an answer that says published."""
    servers.stack.start("worker")
    wait_until(lambda: _completed(api) >= EXECUTED, seconds=EXECUTION_S)
    found = servers.registry.search_model_versions("name='finish'", max_results=VERSIONS)
    return float(sum(version.tags.get("edgewright.answer") == "published" for version in found))


def _completed(api: PrefectApi) -> int:
    time.sleep(2)
    return sum(run["state_type"] == "COMPLETED" for run in _runs(api, "finish"))
